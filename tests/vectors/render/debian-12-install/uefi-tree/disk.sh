#!/bin/sh
# debian-12-install for web1.example.org: the disk to install on.
set -eu
# report done|failed|log TEXT: tells the server. Tried five times; telling it twice does no harm.
report() {
	case $1 in
	done) report_url='http://10.0.0.1:8080/m/3q2-7wAAAAAAAAAAAAAAAA/done' ;;
	failed) report_url='http://10.0.0.1:8080/m/3q2-7wAAAAAAAAAAAAAAAA/failed' ;;
	*) report_url='http://10.0.0.1:8080/m/3q2-7wAAAAAAAAAAAAAAAA/log' ;;
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

# choose_disk: prints the device of the first disk that is fixed, writable, not on USB and has 4 GiB.
choose_disk() {
	for block in /sys/block/*; do
		case ${block##*/} in
		loop* | ram* | zram* | sr* | fd* | md* | dm-* | nbd* | mtd* | mmcblk*boot*) continue ;;
		esac
		case $(readlink -f "$block") in
		*/usb[0-9]*) continue ;;
		esac
		[ -e "$block/device" ] || continue
		[ "$(cat "$block/removable")" = 0 ] || continue
		[ "$(cat "$block/ro")" = 0 ] || continue
		[ "$(cat "$block/hidden" 2>/dev/null || echo 0)" = 0 ] || continue
		[ "$(cat "$block/size")" -ge 8388608 ] || continue
		echo "/dev/$(echo "${block##*/}" | tr '!' '/')"
		return 0
	done
	echo "no fixed disk of 4 GiB or more to install on; there are: $(cd /sys/block && echo *); set the param install_disk to choose another" >&2
	return 1
}

if disk=$(choose_disk 2>/tmp/metalwright-disk.err); then
	debconf-set partman-auto/disk "$disk"
	debconf-set grub-installer/bootdev "$disk"
	report log "installing on $disk" || true
else
	report failed "$(cat /tmp/metalwright-disk.err)" || true
	exit 1
fi
