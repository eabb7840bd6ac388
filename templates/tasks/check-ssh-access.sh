{#- Verifies that the SSH server runs and that every key of the content is where it belongs. -#}
#!/bin/sh
# Can one log in to {{ machine.name }}?
set -u
fault=0
# expect_key USER KEY: the key may log in as the user.
expect_key() {
	home=$(getent passwd "$1" | cut -d: -f6)
	if [ -z "$home" ]; then
		echo "missing: there is no user $1"
		fault=1
	elif grep -qxF "$2" "$home/.ssh/authorized_keys" 2>/dev/null; then
		echo "ok: $1 has ${2##* }"
	else
		echo "missing: $home/.ssh/authorized_keys has no ${2##* }"
		fault=1
	fi
}
{% set users = param(name="users") -%}
{% set shared_keys = compose(name="ssh_keys") -%}
{% block before_key_checks %}{% endblock -%}
{% block key_checks -%}
{% for user in users -%}
{% set keys = [...(user.ssh_keys or []), ...(shared_keys if user.sudo or false else [])] -%}
{% for key in keys -%}
expect_key {{ user.name | sh }} {{ key | sh }}
{% endfor -%}
{% endfor -%}
{% if not users -%}
{% for key in shared_keys -%}
expect_key root {{ key | sh }}
{% endfor -%}
{% endif -%}
{% endblock -%}
{% block after_key_checks %}{% endblock -%}
{% block before_server_check %}{% endblock -%}
{% block server_check -%}
ssh_runs() {
	systemctl is-active --quiet ssh || systemctl is-active --quiet sshd
}
# The agent can be there before the boot is over.
tries=20
until ssh_runs || [ "$tries" = 0 ] || ! systemctl is-system-running | grep -qE '^(initializing|starting)$'; do
	sleep 2
	tries=$((tries - 1))
done
if ssh_runs; then
	echo 'ok: the SSH server runs'
else
	echo 'missing: the SSH server does not run'
	fault=1
fi
{% endblock -%}
{% block after_server_check %}{% endblock -%}
exit "$fault"
