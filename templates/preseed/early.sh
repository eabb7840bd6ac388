{#- Runs in the Debian installer when it has read its answers: fetches the other scripts, watches for questions and
failed steps. -#}
#!/bin/sh
# {{ bootenv.name }} for {{ machine.name }}: the beginning, before any disk is touched.
set -eu
{% block before_reporting %}{% endblock -%}
{% block reporting -%}
{% include "snippets/shell/report-wget.sh" %}
{% include "snippets/shell/stop-here.sh" %}
{% include "snippets/shell/console-question.sh" %}
{% endblock -%}
{% block after_reporting %}{% endblock -%}
{% block before_scripts %}{% endblock -%}
{% block scripts -%}
{% if param(name="rehearse") -%}
prepare() {
	fetch {{ file_url(path="disk.sh") | sh }} /tmp/metalwright-disk.sh
}
{% else -%}
# The installer copies its own network configuration to the disk at 55 and unmounts it at 95.
late=/usr/lib/finish-install.d/92metalwright
prepare() {
	fetch {{ file_url(path="disk.sh") | sh }} /tmp/metalwright-disk.sh &&
		fetch {{ file_url(path="late.sh") | sh }} "$late" &&
		chmod 755 "$late"
}
{% endif -%}
{% endblock -%}
{% block after_scripts %}{% endblock -%}

{% block before_apt %}{% endblock -%}
{% block apt -%}
{% include "snippets/shell/debian-apt.sh" -%}
{% endblock -%}
{% block after_apt %}{% endblock -%}
# A step that fails leaves the installer at its menu, or at a question, for ever; the server is told which.
stopped='main-menu.*failed with error code|package retrieval failed|mirror does not support|not supported by selected mirror'
watch_installer() {
	# What runs on must let go of the installer's pipes, which are waited for, and of its dialogue on 3.
	exec </dev/null >/dev/null 2>&1 3>&-
	told=
{% if param(name="rehearse") %}	tens=0
{% endif -%}
	while sleep 10; do
		line=$(grep -E "$stopped" /var/log/syslog | head -n 1) || true
		asks=$(console_question) || true
		# The dialogue about a failure comes after its line in the log.
		[ -z "$line" ] || [ -n "$asks" ] || { sleep 5 && asks=$(console_question); } || true
		if [ "$asks" != "$told" ] && report asks "$asks"; then
			told=$asks
		fi
{% if param(name="rehearse") %}		tens=$((tens + 1))
		[ "$tens" -lt 90 ] || line=${line:-'nothing was heard of it for 15 minutes'}
		[ -z "$line" ] ||
			end_rehearsal done "the installer has read its answer file, and did not come to the disks: $line"
{% else %}		if [ -n "$line" ]; then
			report failed "the installer stopped: $line${asks:+ ($asks)}" || true
			return
		fi
{% endif -%}
	done
}

{% block before_begin %}{% endblock -%}
{% block begin -%}
if prepare; then
	report log 'the installer has read its answer file' || true
else
	stop_here 'the installer could not fetch its scripts'
fi
{% endblock -%}
{% block after_begin %}{% endblock -%}
{% block before_early_script %}{% endblock -%}
{% block early_script -%}
{% include "snippets/shell/early-script.sh" -%}
{% endblock -%}
{% block after_early_script %}{% endblock -%}
{% block before_watch %}{% endblock -%}
{% block watch -%}
watch_installer &
{% endblock -%}
{% block after_watch %}{% endblock -%}
