#!/bin/sh
# debian-12-install for web1.example.org: the beginning, before any disk is touched.
set -eu
# report done|failed|log TEXT: tells the server. Tried five times; telling it twice does no harm.
report() {
	case $1 in
	done) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/done' ;;
	failed) report_url='http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/failed' ;;
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

# end_rehearsal done|failed TEXT: the end of a rehearsal. Does not come back: an installer that went on could write to a disk.
end_rehearsal() {
	trap '' HUP INT QUIT TERM TSTP
	report "$1" "rehearsal: $2" || true
	while :; do
		poweroff -f -f || true
		sleep 60
	done
}

# stop_here REASON: where an installation would stop, the rehearsal has failed.
stop_here() {
	end_rehearsal failed "the installation would stop: $1"
}

prepare() {
	fetch 'http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788/disk.sh' /tmp/metalwright-disk.sh
}
# A step that fails leaves the installer at its menu, or at a question, for ever; the server is told which.
stopped='main-menu.*failed with error code|package retrieval failed|mirror does not support|not supported by selected mirror'
watch_installer() {
	# What runs on must let go of the installer's pipes, which are waited for, and of its dialogue on 3.
	exec </dev/null >/dev/null 2>&1 3>&-
	tens=0
while sleep 10; do
		line=$(grep -E "$stopped" /var/log/syslog | head -n 1) || true
		tens=$((tens + 1))
		[ "$tens" -lt 90 ] || line=${line:-'nothing was heard of it for 15 minutes'}
		[ -z "$line" ] ||
			end_rehearsal done "the installer has read its answer file, and did not come to the disks: $line"
done
}

if prepare; then
	report log 'the installer has read its answer file' || true
else
	stop_here 'the installer could not fetch its scripts'
fi
watch_installer &
