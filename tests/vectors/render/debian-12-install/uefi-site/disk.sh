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

# choose_disk: prints the device that the param install_disk names, if it is there.
choose_disk() {
	wanted='/dev/disk/by-id/nvme-eui.0025385b71b0a1c2'
	disk=$(readlink -f "$wanted" || true)
	if [ -b "$disk" ]; then
		echo "$disk"
		return 0
	fi
	echo "the param install_disk says $wanted, and there is no such disk; there are: $(cd /sys/block && echo *)" >&2
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
