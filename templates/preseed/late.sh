{#- One of the Debian installer's last steps: finishes the new system in /target and reports. -#}
#!/bin/sh
# {{ bootenv.name }} for {{ machine.name }}: the end, with the new system in $root.
set -eu
root=/target
log=/var/log/metalwright-late.log
exec </dev/null >"$log" 2>&1
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

{% include "snippets/shell/users.sh" %}
{% include "snippets/shell/debian-repositories.sh" %}
{% include "snippets/shell/debian-time.sh" %}
{% include "snippets/shell/debian-network.sh" %}
{% include "snippets/shell/boot-order.sh" %}
{% include "snippets/shell/agent.sh" %}
{% include "snippets/shell/late-script.sh" %}
{% include "snippets/shell/bootable.sh" %}
sync
insist done 'the installation is complete' || echo 'the server does not know yet that the installation is complete'
