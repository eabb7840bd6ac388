#!/bin/sh
# debian-12-install for web1.example.org: the end, with the new system in $root.
set -eu
root=/target
log=/var/log/metalwright-late.log
exec </dev/null >"$log" 2>&1
tries=5
# report done|failed|log|asks TEXT: tells the server. Tried five times; telling it twice does no harm. The ends of the
# installer's logs come with a failure.
report() {
	case $1 in
	done) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/done' ;;
	failed)
		report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/failed'
		send_logs || true
		;;
	asks) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/asks' ;;
	*) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/log' ;;
	esac
	post "$report_url" --post-data="$2"
}

send_logs() {
	gather_logs /var/log/syslog /var/log/metalwright-late.log || return 0
	post 'http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/installer.log' --post-file=/tmp/metalwright-installer.log
}

# Whether the server will not have the last report: the run has gone on without it.
is_refused() {
	grep -q 'HTTP/1.1 409' /tmp/metalwright-report 2>/dev/null
}

# post URL BODY
post() {
	wget -nv -S -o /tmp/metalwright-report -T 20 --no-proxy --tries="$tries" --waitretry=5 --retry-connrefused \
		--retry-on-http-error=408,429,500,502,503,504 --header='Content-Type: text/plain' "$2" -O /dev/null "$1"
}

# fetch URL FILE: tried five times.
fetch() {
	wget -q -T 20 --no-proxy --tries=5 --waitretry=5 --retry-connrefused \
		--retry-on-http-error=408,429,500,502,503,504 -O "$2" "$1"
}

# insist done|failed TEXT: like `report`, again after growing pauses until the server has it. Gives up after
# 300 seconds, or where the server will not have it.
insist() {
	insist_until=$(($(uptime_seconds) + 300))
	insist_pause=2
	tries=1
	until report "$@"; do
		insist_left=$((insist_until - $(uptime_seconds)))
		if is_refused || [ "$insist_left" -le 0 ]; then
			return 1
		fi
		[ "$insist_pause" -le "$insist_left" ] || insist_pause=$insist_left
		sleep "$insist_pause"
		insist_pause=$((insist_pause * 2))
		[ "$insist_pause" -le 30 ] || insist_pause=30
	done
}

# The clock may be set meanwhile; this one only goes on.
uptime_seconds() {
	cut -d . -f 1 /proc/uptime
}

# gather_logs FILE...: the ends of the installer's logs, in /tmp/metalwright-installer.log.
gather_logs() {
	for gathered in "$@"; do
		[ -s "$gathered" ] || continue
		printf '\n==> %s <==\n' "$gathered"
		tail -c 49152 "$gathered"
	done >/tmp/metalwright-installer.log
	[ -s /tmp/metalwright-installer.log ]
}


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

set --
for package in 'nano' 'telnet' 'sudo'; do
	if chroot "$root" dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
		set -- "$@" "$package"
	fi
done
[ "$#" = 0 ] || DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -y -q purge "$@"
# The param late_script, run inside the new system. The bar before each line keeps a line like `%end` from ending this
# section of a kickstart, and goes when the script is written.
late_script=/root/metalwright-late-script
(umask 077 && sed 's/^|//' >"$root$late_script") <<'END'
|cat >/tmp/own <<'END'
|%end
|  %end # it's "{{ here }}" ${#a[@]} `x` \
||bar
|END
|%include /tmp/none
END
chroot "$root" /bin/sh -e "$late_script"
rm -f "$root$late_script"

# Without a kernel nothing boots, whatever else was installed. A person at the installer's menu can pass over a step.
if ! ls "$root"/boot/vmlinuz* >/dev/null 2>&1; then
	echo "there is no kernel in $root/boot: the new system would not boot"
	exit 1
fi
if [ ! -d /sys/firmware/efi ] && [ ! -e "$root/boot/grub/grub.cfg" ]; then
	echo "GRUB has no configuration in $root/boot/grub: the new system would not boot"
	exit 1
fi

sync
insist done 'the installation is complete' || echo 'the server does not know yet that the installation is complete'
