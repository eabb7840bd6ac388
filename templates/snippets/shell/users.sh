{#- Makes the accounts of the param `users` in the new system in $root, with their keys and passwords. -#}
{% set users = param(name="users") -%}
{% set shared_keys = compose(name="ssh_keys") -%}
{% if has_param(name="user_passwords") %}{% set passwords = param(name="user_passwords") %}{% else %}{% set passwords = {} %}{% endif -%}
# authorize USER HOME: the keys on standard input may log in as the user.
authorize() {
	mkdir -p "$root$2/.ssh"
	cat >"$root$2/.ssh/authorized_keys"
	chmod 700 "$root$2/.ssh"
	chmod 600 "$root$2/.ssh/authorized_keys"
	chroot "$root" chown -R "$1:" "$2/.ssh"
	if [ -x "$root/usr/sbin/restorecon" ]; then
		chroot "$root" restorecon -R "$2/.ssh" || true
	fi
}
{% for user in users -%}
{% set keys = [...(user.ssh_keys or []), ...(shared_keys if user.sudo or false else [])] -%}
{% set password = passwords | get(key=user.name, default="") -%}
{% set groups = user.groups or [] %}
# {{ user.name }}
if ! chroot "$root" id {{ user.name | sh }} >/dev/null 2>&1; then
	chroot "$root" useradd --create-home --shell /bin/bash --comment {{ (user.full_name or "") | one_line | sh }} {{ user.name | sh }}
fi
{% if groups -%}
chroot "$root" usermod --append --groups {{ groups | join(sep=",") | sh }} {{ user.name | sh }}
{% endif -%}
{% if password -%}
printf '%s:%s\n' {{ user.name | sh }} {{ password | password_hash(salt=user.name) | sh }} | chroot "$root" chpasswd --encrypted
{% endif -%}
{% if user.sudo or false -%}
mkdir -p "$root/etc/sudoers.d"
echo {{ (user.name ~ " ALL=(ALL:ALL) " ~ ("ALL" if password else "NOPASSWD: ALL")) | sh }} >"$root/etc/sudoers.d/"{{ user.name | sh }}
chmod 440 "$root/etc/sudoers.d/"{{ user.name | sh }}
{% endif -%}
{% if keys -%}
printf '%s\n' {{ keys | sh }} | authorize {{ user.name | sh }} {{ ("/home/" ~ user.name) | sh }}
{% endif -%}
{% endfor -%}
{% if not users and shared_keys -%}
# There are no accounts but root's, so the keys are root's.
printf '%s\n' {{ shared_keys | sh }} | authorize root /root
{% endif -%}
