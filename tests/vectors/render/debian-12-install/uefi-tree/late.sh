#!/bin/sh
# debian-12-install for web1.example.org: the end, with the new system in $root.
set -eu
root=/target
log=/var/log/metalwright-late.log
exec </dev/null >"$log" 2>&1
tries=5
# report done|failed|log TEXT: tells the server. Tried five times; telling it twice does no harm. The ends of the
# installer's logs come with a failure.
report() {
	case $1 in
	done) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/done' ;;
	failed)
		report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/failed'
		send_logs || true
		;;
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

# admin
if ! chroot "$root" id 'admin' >/dev/null 2>&1; then
	chroot "$root" useradd --create-home --shell /bin/bash --comment 'Administrator' 'admin'
fi
mkdir -p "$root/etc/sudoers.d"
echo 'admin ALL=(ALL:ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/"'admin'
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
insist done 'the installation is complete' || echo 'the server does not know yet that the installation is complete'
