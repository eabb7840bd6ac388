#!/bin/sh
# debian-12-install for web1.example.org: the beginning, before any disk is touched.
set -eu
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


# stop_here REASON: tells the server and whoever is at a console, and does not come back: an installer that went on could
# write to a disk. After 24 hours the machine is powered off.
stop_here() {
	trap '' HUP INT QUIT TERM TSTP
	told=no
	tens=0
	while :; do
		[ "$told" = yes ] || ! report failed "$1" || told=yes
		for console in $(cat /sys/class/tty/console/active 2>/dev/null || echo console); do
			printf '\r\n\r\nMetalwright has stopped this installation. Nothing more is written to a disk.\r\n%s\r\n%s\r\n' \
				"$1" 'Mend that, start the workflow again, and restart this machine.' 2>/dev/null >"/dev/$console" || true
		done
		sleep 600
		tens=$((tens + 1))
		[ "$tens" -lt 144 ] || poweroff -f -f || true
	done
}

# frontend_wait: where in the kernel the installer's dialogues sleep, unless they wait for the programs of the installer.
frontend_wait() {
	for menu in $(pidof main-menu); do
		frontend=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$menu/status" || true)
		[ "$(cat "/proc/$frontend/comm" || true)" = debconf ] || continue
		case $(cat "/proc/$frontend/wchan" || true) in
		*pipe* | 0 | '') ;;
		*) cat "/proc/$frontend/wchan" ;;
		esac
		return
	done
}

# console_question: prints the installer's step and what its screen shows, on one line; nothing where it is at work. A
# dialogue waits for longer than it takes to draw one.
console_question() {
	[ -n "$(frontend_wait)" ] && sleep 2 && [ -n "$(frontend_wait)" ] || return 0
	step=$(sed -n "s/.*Menu item '\([^']*\)' selected.*/\1/p" /var/log/syslog | tail -n 1)
	shown=/dev/vcs1
	if [ -n "$(pidof screen)" ]; then
		shown=/tmp/metalwright-console
		screen -p 1 -X hardcopy "$shown" && sleep 1
	fi
	# The last dialogue on the screen begins with a mark, or with a title that is underlined.
	text=$(tr -c ' -~\n' ' ' <"$shown" | tr -s ' ' |
		awk '/^ ?-+ ?$/ { text = last } { last = $0; text = text " " $0 } END { print text }' |
		sed 's/.*\(!! ERROR\|\[!*[!?]\] \)/\1/; s/--*/-/g; s/  */ /g' | cut -c 1-600) || true
	echo "${step:-installer}: ${text:-a question}"
}

# The installer copies its own network configuration to the disk at 55 and unmounts it at 95.
late=/usr/lib/finish-install.d/92metalwright
prepare() {
	fetch 'http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/disk.sh' /tmp/metalwright-disk.sh &&
		fetch 'http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/late.sh' "$late" &&
		chmod 755 "$late"
}
# A step that fails leaves the installer at its menu, or at a question, for ever; the server is told which.
stopped='main-menu.*failed with error code|package retrieval failed|mirror does not support|not supported by selected mirror'
watch_installer() {
	# What runs on must let go of the installer's pipes, which are waited for, and of its dialogue on 3.
	exec </dev/null >/dev/null 2>&1 3>&-
	told=
while sleep 10; do
		line=$(grep -E "$stopped" /var/log/syslog | head -n 1) || true
		asks=$(console_question) || true
		# The dialogue about a failure comes after its line in the log.
		[ -z "$line" ] || [ -n "$asks" ] || { sleep 5 && asks=$(console_question); } || true
		if [ "$asks" != "$told" ] && report asks "$asks"; then
			told=$asks
		fi
		if [ -n "$line" ]; then
			report failed "the installer stopped: $line${asks:+ ($asks)}" || true
			return
		fi
done
}

if prepare; then
	report log 'the installer has read its answer file' || true
else
	stop_here 'the installer could not fetch its scripts'
fi
# The param early_script. The bar before each line keeps a line like `%end` from ending this section of a kickstart, and
# goes when the script is written.
early_script=/tmp/metalwright-early-script
(umask 077 && sed 's/^|//' >"$early_script") <<'END'
|#!/bin/bash
|cat >/tmp/own <<'END'
|%end
|  %end # it's "{{ here }}" ${#a[@]} `x` \
||bar
|END
|%include /tmp/none
END
early_status=0
chmod 700 "$early_script"
"$early_script" </dev/null >"$early_script.log" 2>&1 3>&- || early_status=$?
[ "$early_status" = 0 ] || stop_here "early_script ended with $early_status: $(tail -n 5 "$early_script.log")"
rm -f "$early_script"
watch_installer &
