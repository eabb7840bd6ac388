{#- One of the Debian installer's last steps: finishes the new system in /target and reports. -#}
#!/bin/sh
# {{ bootenv.name }} for {{ machine.name }}: the end, with the new system in $root.
set -eu
root=/target
log=/var/log/metalwright-late.log
exec </dev/null >"$log" 2>&1
{% block before_reporting %}{% endblock -%}
{% block reporting -%}
{% include "snippets/shell/report-wget.sh" %}
ended() {
	code=$?
	mkdir -p "$root/var/log/installer" && cp "$log" "$root/var/log/installer/" || true
	if [ "$code" -ne 0 ]; then
		# The agent of a system that is not whole must not speak for it.
		rm -f "$root/etc/metalwright/agent.toml"
		insist failed "late.sh ended with $code: $(tail -n 5 "$log")" || true
	fi
	exit "$code"
}
trap ended EXIT

{% endblock -%}
{% block after_reporting %}{% endblock -%}
{% block before_accounts %}{% endblock -%}
{% block accounts -%}
{% include "snippets/shell/users.sh" %}
{% endblock -%}
{% block after_accounts %}{% endblock -%}
{% block before_repositories %}{% endblock -%}
{% block repositories -%}
{% include "snippets/shell/debian-repositories.sh" %}
{% endblock -%}
{% block after_repositories %}{% endblock -%}
{% block before_time %}{% endblock -%}
{% block time -%}
{% include "snippets/shell/debian-time.sh" %}
{% endblock -%}
{% block after_time %}{% endblock -%}
{% block before_network %}{% endblock -%}
{% block network -%}
{% include "snippets/shell/debian-network.sh" %}
{% endblock -%}
{% block after_network %}{% endblock -%}
{% block before_boot_order %}{% endblock -%}
{% block boot_order -%}
{% include "snippets/shell/boot-order.sh" %}
{% endblock -%}
{% block after_boot_order %}{% endblock -%}
{% block before_agent %}{% endblock -%}
{% block agent -%}
{% include "snippets/shell/agent.sh" %}
{% endblock -%}
{% block after_agent %}{% endblock -%}
{% block before_packages_remove %}{% endblock -%}
{% block packages_remove -%}
{% include "snippets/shell/debian-packages-remove.sh" -%}
{% endblock -%}
{% block after_packages_remove %}{% endblock -%}
{% block before_late_script %}{% endblock -%}
{% block late_script -%}
{% include "snippets/shell/late-script.sh" %}
{% endblock -%}
{% block after_late_script %}{% endblock -%}
{% block before_bootable %}{% endblock -%}
{% block bootable -%}
{% include "snippets/shell/bootable.sh" %}
{% endblock -%}
{% block after_bootable %}{% endblock -%}
{% block before_done %}{% endblock -%}
{% block done -%}
sync
insist done 'the installation is complete' || echo 'the server does not know yet that the installation is complete'
{% endblock -%}
{% block after_done %}{% endblock -%}
