#!/bin/sh
# debian-12-install for web1.example.org: the disk to install on.
set -eu
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

# describe_disk BLOCK: path, size, bus, model, serial and a lasting name of a disk in /sys/block.
describe_disk() {
	name=${1##*/}
	device=/dev/$(echo "$name" | tr '!' '/')
	tenths=$(($(cat "$1/size" || echo 0) * 10 / 1953125))
	model=$(cat "$1/device/model" 2>/dev/null || true)
	# Page 0x80 of a SCSI disk begins with four bytes that are no text.
	serial=$({ cat "$1/serial" "$1/device/serial" || tail -c +5 "$1/device/vpd_pg80"; } 2>/dev/null | tr -dc ' -~')
	lasting=
	for link in /dev/disk/by-id/*; do
		if [ "$(readlink -f "$link")" = "$device" ]; then
			lasting=$link
			break
		fi
	done
	printf '%s: %d.%d GB, %s' "$device" $((tenths / 10)) $((tenths % 10)) "$(disk_bus "$1")"
	printf '%s' "${model:+, $model}" "${serial:+, serial $serial}" "${lasting:+, $lasting}" |
		tr -dc ' -~' | tr -s ' '
	echo
}

# disk_bus BLOCK: how a disk in /sys/block is connected.
disk_bus() {
	for transport in "$1"/device/transport "$1"/device/nvme*/transport; do
		case $(cat "$transport" 2>/dev/null || true) in
		'' | pcie | apple*) ;;
		*) echo 'NVMe over a network' && return ;;
		esac
	done
	case ${1##*/}:$(readlink -f "$1") in
	mmcblk*) echo 'SD card or eMMC' ;;
	pmem*) echo 'persistent memory' ;;
	md* | dm-*) echo 'array or mapped device' ;;
	*/usb[0-9]*) echo USB ;;
	*/rport-*) echo 'Fibre Channel' ;;
	*/session[0-9]*) echo iSCSI ;;
	*/nvme-fabrics/*) echo 'NVMe over a network' ;;
	*/end_device-*) echo SAS ;;
	*/port-*/target*) echo 'SCSI over a network' ;;
	*/fw[0-9]*/fw[0-9]*.[0-9]*) echo FireWire ;;
	*/ata[0-9]*) echo ATA ;;
	nvme*) echo NVMe ;;
	vd*) echo virtio ;;
	sd* | hd* | xvd* | cciss!* | ida!*) echo SCSI ;;
	*) echo 'unknown bus' ;;
	esac
}

# disk_fault BLOCK: says why a disk is taken only where it is named; says nothing of one that may be taken.
disk_fault() {
	case $(disk_bus "$1") in
	ATA | NVMe | SAS | SCSI | virtio) ;;
	*) echo 'not local and fixed' ;;
	esac
	[ "$(cat "$1/removable")" = 0 ] || echo removable
	[ "$(cat "$1/ro")" = 0 ] || echo 'read-only'
	[ "$(cat "$1/size")" -ge 8388608 ] || echo 'smaller than 4 GiB'
	case $(udevadm info --query=property --name="${1##*/}" 2>/dev/null | sed -n 's/^ID_FS_TYPE=//p') in
	*_raid_member) echo 'part of an array' ;;
	mpath_member) echo 'one of several paths' ;;
	esac
	for holder in "$1"/holders/* "$1/${1##*/}"*/holders/*; do
		case ${holder##*/}:$(cat "$holder/dm/uuid" 2>/dev/null || true) in
		md*) echo 'part of an array' ;;
		dm-*:mpath-*) echo 'one of several paths' ;;
		dm-*:DMRAID-*) echo 'part of an array' ;;
		esac
	done
	# Each path to a SCSI disk is a disk of its own, and has the identifier of the others.
	wwid=$(cat "$1/device/wwid" 2>/dev/null || true)
	if [ -n "$wwid" ] && [ "$(cat /sys/block/*/device/wwid 2>/dev/null | grep -cxF "$wwid")" -gt 1 ]; then
		echo 'one of several paths'
	fi
}

# is_disk BLOCK: whether it is a disk at all, and not a memory device, a drive without a medium or a hidden path.
is_disk() {
	case ${1##*/} in
	loop* | ram* | zram* | sr* | fd* | md* | dm-* | nbd* | mtd* | mmcblk*boot* | mmcblk*rpmb*) return 1 ;;
	esac
	[ -e "$1/device" ] && [ "$(cat "$1/hidden" 2>/dev/null || echo 0)" = 0 ] && [ "$(cat "$1/size")" != 0 ]
}

# list_disks: every disk that there is, one a line, with what speaks against it.
list_disks() {
	for block in /sys/block/*; do
		is_disk "$block" || continue
		fault=$(disk_fault "$block" | head -n 1)
		echo "$(describe_disk "$block")${fault:+ ($fault: only where it is named)}"
	done
}

# choose_disk: prints the device of the disk that may be taken, if it is the only one.
choose_disk() {
	udevadm settle --timeout=30 2>/dev/null || true
	count=0
	for block in /sys/block/*; do
		is_disk "$block" && [ -z "$(disk_fault "$block")" ] || continue
		count=$((count + 1))
		disk=/dev/$(echo "${block##*/}" | tr '!' '/')
	done
	case $count in
	0) why='there is no local, fixed disk of 4 GiB or more; the param install_disk can name one of these:' ;;
	1) echo "$disk" && return 0 ;;
	*) why="there are $count disks to install on; set the param install_disk to one of these:" ;;
	esac
	{
		echo "$why"
		list_disks
	} >&2
	return 1
}
# disk_sets: the parts of volume groups and arrays, each as `KIND NAME DEVICE`.
disk_sets() {
	pvs --noheadings -o vg_name,pv_name 2>/dev/null |
		sed -n 's|^ *\([^ ][^ ]*\)  *\(/dev/[^ ]*\) *$|group \1 \2|p'
	for part in /sys/block/*/size /sys/block/*/*/size; do
		part=${part%/size}
		device=/dev/$(echo "${part##*/}" | tr '!' '/')
		properties=$(udevadm info --query=property --name="$device" 2>/dev/null || true)
		case $properties in
		*ID_FS_TYPE=linux_raid_member*) echo "array $(echo "$properties" | sed -n 's/^ID_FS_UUID=//p') $device" ;;
		esac
	done
}

# spans DISK GROUP: says which volume groups and arrays on the disk have parts on other disks, which would be written to
# as well, and where a volume group of the name that the new system's gets is on another disk.
spans() {
	disk_name=$(echo "${1#/dev/}" | tr '/' '!')
	disk_sets | while read -r kind set device; do
		part=$(echo "${device#/dev/}" | tr '/' '!')
		if [ "$device" = "$1" ] || [ -e "/sys/block/$disk_name/$part" ]; then
			echo "mine $kind $set"
		else
			echo "other $kind $set $device"
		fi
	done >/tmp/metalwright-sets
	while read -r whose kind set device; do
		[ "$whose" = other ] || continue
		if grep -qxF "mine $kind $set" /tmp/metalwright-sets; then
			echo "the $kind $set is on $1 and on $device: remove it, or wipe $device; nothing was written"
		elif [ "$kind $set" = "group $2" ]; then
			echo "the $kind $set is on $device, and that of the new system has this name: rename or remove it; nothing was written"
		fi
	done </tmp/metalwright-sets
}

# show_one_disk DISK: LVM sees this disk and its partitions alone. The installer looks for volume groups to remove by the
# beginning of a device's name, and /dev/sdaa begins with /dev/sda.
show_one_disk() {
	mkdir -p /etc/lvm
	printf 'devices {\n\tglobal_filter = [ "a|^%s((-part|p)?[0-9]+)?$|", "r|.*|" ]\n}\n' "$1" >/etc/lvm/lvmlocal.conf
}

# forget_disk DISK: what was on the disk is not found again. The installer itself would remove volume groups and arrays
# with all their parts, on other disks too.
forget_disk() {
	sed -n 's/^mine group //p' /tmp/metalwright-sets | while read -r group; do
		vgchange -an "$group" || true
	done
	name=$(echo "${1#/dev/}" | tr '/' '!')
	for part in "/sys/block/$name/$name"* "/sys/block/$name"; do
		[ -e "$part/size" ] || continue
		device=/dev/$(echo "${part##*/}" | tr '!' '/')
		sectors=$(cat "$part/size")
		dd if=/dev/zero of="$device" bs=512 count=2048 || true
		[ "$sectors" -le 2048 ] || dd if=/dev/zero of="$device" bs=512 count=2048 seek=$((sectors - 2048)) || true
	done
	udevadm settle --timeout=30 || true
}

if ! disk=$(choose_disk 2>/tmp/metalwright-disk.err) || [ -z "$disk" ]; then
	stop_here "$(cat /tmp/metalwright-disk.err)"
fi
tied=$(spans "$disk" system)
[ -z "$tied" ] || stop_here "$tied"
forget_disk "$disk"
show_one_disk "$disk"
debconf-set partman-auto/disk "$disk"
debconf-set grub-installer/bootdev "$disk"
report log "installing on $disk" || true
