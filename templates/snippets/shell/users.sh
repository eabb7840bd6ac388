{#- Makes the accounts of the param `users` in the new system in $root, with their groups, keys and passwords. -#}
{% set users = param(name="users") -%}
{% set shared_keys = compose(name="ssh_keys") -%}
{% set passwords = {} -%}
{% if has_param(name="user_passwords") %}{% set passwords = param(name="user_passwords") %}{% endif -%}
{# In a preview the secret is a text. -#}
{% if passwords is string %}{% set passwords = {} %}{% endif -%}
{% block before_account_functions %}{% endblock -%}
{% block account_functions -%}
# add_user USER COMMENT: makes an account, unless the system has it. A group of its name becomes its own.
add_user() {
	user=$1
	comment=$2
	if chroot "$root" getent passwd "$user" >/dev/null; then
		return
	fi
	set --
	if chroot "$root" getent group "$user" >/dev/null; then
		set -- --gid "$user"
	fi
	chroot "$root" useradd --create-home --shell /bin/bash --comment "$comment" "$@" "$user"
}

# join_group USER GROUP: a group that the system does not have is made, as one of the system's.
join_group() {
	if ! chroot "$root" getent group "$2" >/dev/null; then
		echo "the group $2 was not there: made"
		chroot "$root" groupadd --system "$2"
	fi
	chroot "$root" usermod --append --groups "$2" "$1"
}

# open_account USER: sets $home. What the system has made for a service gets a shell, and a home of its own where it has
# none, or one that belongs to others: that of `operator` may be root's.
open_account() {
	entry=$(chroot "$root" getent passwd "$1")
	case ${entry##*:} in
	*/nologin | */false) chroot "$root" usermod --shell /bin/bash "$1" ;;
	esac
	home=${entry%:*}
	home=${home##*:}
	case $1:$home in
	root:* | *:/home/* | *:/var/* | *:/srv/* | *:/opt/*) ;;
	*)
		home=/home/$1
		chroot "$root" usermod --home "$home" "$1"
		;;
	esac
	if [ ! -d "$root$home" ]; then
		mkdir -p "$root$home"
		chmod 700 "$root$home"
		chroot "$root" chown "$1:" "$home"
	fi
}

# authorize USER: the keys on standard input may log in as the user.
authorize() {
	open_account "$1"
	mkdir -p "$root$home/.ssh"
	cat >"$root$home/.ssh/authorized_keys"
	chmod 700 "$root$home/.ssh"
	chmod 600 "$root$home/.ssh/authorized_keys"
	chroot "$root" chown -R "$1:" "$home/.ssh"
	if [ -x "$root/usr/sbin/restorecon" ]; then
		chroot "$root" restorecon -R "$home/.ssh" || true
	fi
}
{% endblock -%}
{% block after_account_functions %}{% endblock -%}
{% block before_account_list %}{% endblock -%}
{% block account_list -%}
{% for user in users -%}
{% set keys = [...(user.ssh_keys or []), ...(shared_keys if user.sudo or false else [])] -%}
{% set password = passwords | get(key=user.name, default="") -%}
{% set hash = password | password_hash(salt=user.name) if password else "" -%}
{% set has_password = hash is starting_with(pat="$") %}
# {{ user.name }}
add_user {{ user.name | sh }} {{ (user.full_name or "") | one_line | sh }}
{% for group in user.groups or [] -%}
join_group {{ user.name | sh }} {{ group | sh }}
{% endfor -%}
{% if hash -%}
printf '%s:%s\n' {{ user.name | sh }} {{ hash | sh }} | chroot "$root" chpasswd --encrypted
{% endif -%}
{% if has_password -%}
open_account {{ user.name | sh }}
{% endif -%}
{% if user.sudo or false -%}
{# Without a password and without a key nobody may be this account, so nothing may become root by it. -#}
{% set free = not has_password and keys -%}
mkdir -p "$root/etc/sudoers.d"
echo {{ (user.name ~ " ALL=(ALL:ALL) " ~ ("NOPASSWD: ALL" if free else "ALL")) | sh }} >"$root/etc/sudoers.d/"{{ user.name | sh }}
chmod 440 "$root/etc/sudoers.d/"{{ user.name | sh }}
{% endif -%}
{% if keys -%}
printf '%s\n' {{ keys | sh }} | authorize {{ user.name | sh }}
{% endif -%}
{% endfor -%}
{% endblock -%}
{% block after_account_list %}{% endblock -%}
{% block before_root_keys %}{% endblock -%}
{% block root_keys -%}
{% if not users and shared_keys -%}
# There are no accounts but root's, so the keys are root's.
printf '%s\n' {{ shared_keys | sh }} | authorize root
{% endif -%}
{% endblock -%}
{% block after_root_keys %}{% endblock -%}
