#!/bin/sh
# debian-12-install for web1.example.org: the end, with the new system in $root.
set -eu
root=/target
log=/var/log/metalwright-late.log
exec </dev/null >"$log" 2>&1
# report done|failed|log|asks TEXT: tells the server. Tried five times; telling it twice does no harm.
report() {
	case $1 in
	done) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/done' ;;
	failed) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/failed' ;;
	asks) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/asks' ;;
	*) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/log' ;;
	esac
	fetch "$report_url" /dev/null --header='Content-Type: text/plain' --post-data="$2"
}

# fetch URL FILE [WGET OPTIONS]: tried five times.
fetch() {
	fetch_url=$1
	fetch_file=$2
	shift 2
	wget -q -T 20 --no-proxy --tries=5 --waitretry=5 --retry-connrefused \
		--retry-on-http-error=408,429,500,502,503,504 "$@" -O "$fetch_file" "$fetch_url"
}

ended() {
	code=$?
	mkdir -p "$root/var/log/installer" && cp "$log" "$root/var/log/installer/" || true
	if [ "$code" -ne 0 ]; then
		report failed "late.sh ended with $code: $(tail -n 5 "$log")" || true
	fi
	exit "$code"
}
trap ended EXIT

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

# admin
add_user 'admin' 'Administrator'
mkdir -p "$root/etc/sudoers.d"
echo 'admin ALL=(ALL:ALL) ALL' >"$root/etc/sudoers.d/"'admin'
chmod 440 "$root/etc/sudoers.d/"'admin'




# The installer has put its own entry first. The entry of this boot, from the network, goes before it.
network_first() {
	[ -d "$root/sys/firmware/efi" ] || mount --bind /sys "$root/sys"
	chroot "$root" mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null || true
	current=$(chroot "$root" efibootmgr | sed -n 's/^BootCurrent: //p')
	order=$(chroot "$root" efibootmgr | sed -n 's/^BootOrder: //p' | tr ',' '\n' | grep -vx "$current" | tr '\n' ',')
	chroot "$root" efibootmgr -q -o "$current,${order%,}"
}
if [ -d /sys/firmware/efi ]; then
	network_first || echo 'the boot order could not be changed'
fi

mkdir -p "$root/usr/local/bin" "$root/etc/metalwright"
fetch 'http://10.0.0.1:8080/agent/amd64' "$root/usr/local/bin/metalwright"
chmod 755 "$root/usr/local/bin/metalwright"
(umask 077 && fetch 'http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/agent.toml' "$root/etc/metalwright/agent.toml")
cat >"$root/etc/systemd/system/metalwright-agent.service" <<'END'
[Unit]
Description=Metalwright agent: runs this machine's jobs
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/bin/metalwright agent --config /etc/metalwright/agent.toml --allow-power
KillMode=process
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
END
if [ -x "$root/usr/sbin/restorecon" ]; then
	chroot "$root" restorecon -R /usr/local/bin /etc/metalwright /etc/systemd/system || true
fi
chroot "$root" systemctl enable metalwright-agent.service


sync
report done 'the installation is complete'
