#!/bin/sh
# debian-12-install for web1.example.org: the disk to install on.
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

# The rule for disks: the only eligible disk.
# device_of BLOCK: the device of a disk in /sys/block, where the kernel writes `!` for `/`.
device_of() {
	case ${1##*/} in
	*!*) echo "/dev/$(echo "${1##*/}" | tr '!' '/')" ;;
	*) echo "/dev/${1##*/}" ;;
	esac
}

# plain_text: its input as one line of printable ASCII with single spaces.
plain_text() {
	set -f
	set -- $(tr -c ' -~' ' ')
	set +f
	printf '%s' "$*"
}

# text_of FILE...: what the first of the files that there is says.
text_of() {
	for file in "$@"; do
		[ -e "$file" ] || continue
		plain_text <"$file" 2>/dev/null
		return
	done
}

# property NAME: what udev knows of the disk that was inspected last.
property() {
	[ -z "$udev" ] || printf '%s\n' "$udev" | sed -n "s/^$1=//p" | plain_text
}

# disk_bus BLOCK: how a disk in /sys/block is connected, in the words of the rule.
disk_bus() {
	for transport in "$1"/device/transport "$1"/device/nvme*/transport; do
		[ -e "$transport" ] || continue
		case $(cat "$transport") in
		'' | pcie | apple*) ;;
		*) echo nvmeof && return ;;
		esac
	done
	case ${1##*/}:$(readlink -f "$1") in
	mmcblk*) echo sd ;;
	pmem*) echo pmem ;;
	md* | dm-*) echo mapped ;;
	*/usb[0-9]*) echo usb ;;
	*/rport-*) echo fc ;;
	*/session[0-9]*) echo iscsi ;;
	*/nvme-fabrics/*) echo nvmeof ;;
	*/end_device-*) echo sas ;;
	*/port-*/target*) echo srp ;;
	*/fw[0-9]*/fw[0-9]*.[0-9]*) echo firewire ;;
	*/ata[0-9]*) echo sata ;;
	nvme*) echo nvme ;;
	vd*) echo virtio ;;
	xvd*) echo xen ;;
	sd* | hd* | cciss!* | ida!*) echo scsi ;;
	*) echo unknown ;;
	esac
}

# inspect_disk BLOCK: sets device, sectors, bus, spins, udev, model, serial and wwn to what is known of a disk.
inspect_disk() {
	device=$(device_of "$1")
	sectors=$(cat "$1/size" 2>/dev/null || echo 0)
	bus=$(disk_bus "$1")
	spins=$(cat "$1/queue/rotational" 2>/dev/null || true)
	udev=$(udevadm info --query=property --name="$device" 2>/dev/null || true)
	model=$(text_of "$1/device/model" "$1/device/name")
	serial=$(text_of "$1/serial" "$1/device/serial")
	# Page 0x80 of a SCSI disk begins with four bytes that are no text.
	[ -n "$serial" ] || [ ! -e "$1/device/vpd_pg80" ] || serial=$(tail -c +5 "$1/device/vpd_pg80" 2>/dev/null | plain_text)
	[ -n "$serial" ] || serial=$(property ID_SERIAL_SHORT)
	wwn=$(text_of "$1/wwid" "$1/device/wwid")
	[ -n "$wwn" ] || wwn=$(property ID_WWN)
}

# describe_disk: device, size, bus, model, serial number and a lasting name of the disk that was inspected last.
describe_disk() {
	tenths=$((sectors * 10 / 1953125))
	lasting=$(sed -n "s|^$device ||p" /tmp/metalwright-links | head -n 1)
	printf '%s: %d.%d GB, %s' "$device" $((tenths / 10)) $((tenths % 10)) "$bus"
	printf '%s' "${model:+, $model}" "${serial:+, serial $serial}" "${lasting:+, $lasting}" | tr -dc ' -~'
}

# fits TEXT PATTERN...: whether one of the patterns stands for the text. Upper and lower case, `_` and space are alike.
fits() {
	text=$(printf '%s' "$1" | tr 'A-Z_' 'a-z ' | plain_text)
	shift
	for pattern in "$@"; do
		case $text in
		$pattern) return 0 ;;
		esac
	done
	return 1
}

# member_of BLOCK: says of what a disk is a part: the firmware's array, several paths to one disk, an array.
member_of() {
	case $(property ID_FS_TYPE) in
	linux_raid_member) echo 'part of an array' ;;
	*_raid_member) echo "part of the firmware's array" ;;
	mpath_member) echo 'one of several paths to a disk' ;;
	esac
	for holder in "$1"/holders/* "$1/${1##*/}"*/holders/*; do
		[ -e "$holder" ] || continue
		case ${holder##*/}:$({ cat "$holder/md/metadata_version" || cat "$holder/dm/uuid"; } 2>/dev/null || true) in
		md*:[0-9]*) echo 'part of an array' ;;
		md*:*) echo "part of the firmware's array" ;;
		dm-*:mpath-*) echo 'one of several paths to a disk' ;;
		dm-*:DMRAID-*) echo "part of the firmware's array" ;;
		esac
	done
	# Each path to a SCSI disk is a disk of its own, and has the identifier of the others.
	wwid=
	[ ! -e "$1/device/wwid" ] || wwid=$(cat "$1/device/wwid" 2>/dev/null || true)
	if [ -n "$wwid" ] && [ "$(cat /sys/block/*/device/wwid 2>/dev/null | grep -cxF "$wwid")" -gt 1 ]; then
		echo 'one of several paths to a disk'
	fi
}

# object_to BLOCK: what speaks against the disk that was inspected last, a reason a line; nothing for one that fits.
object_to() {
	[ "$(cat "$1/ro")" = 0 ] || echo 'read-only'
	member_of "$1" | sort -u
	[ "$(cat "$1/removable")" = 0 ] || echo removable
	case $bus in
	nvme | sata | sas | scsi | virtio | xen) ;;
	*) echo "$bus is taken only where the rule names it" ;;
	esac
	[ "$sectors" -ge 8388608 ] || echo 'smaller than 4 GiB'
}

# is_disk BLOCK: whether it is a disk at all, and not a memory device, a drive without a medium or a hidden path.
is_disk() {
	case ${1##*/} in
	loop* | ram* | zram* | sr* | fd* | md* | dm-* | nbd* | mtd* | mmcblk*boot* | mmcblk*rpmb*) return 1 ;;
	esac
	[ -e "$1/device" ] && [ "$(cat "$1/hidden" 2>/dev/null || echo 0)" = 0 ] && [ "$(cat "$1/size")" != 0 ]
}

# look_at_disks: writes a list of all disks, with what speaks against each, and one of those that fit.
look_at_disks() {
	for link in /dev/disk/by-id/*; do
		[ ! -e "$link" ] || echo "$(readlink -f "$link") $link"
	done >/tmp/metalwright-links
	: >/tmp/metalwright-all
	: >/tmp/metalwright-fit
	for block in /sys/block/*; do
		case $named in
		*" ${block##*/} "*) ;;
		*) is_disk "$block" || continue ;;
		esac
		inspect_disk "$block"
		objections=$(object_to "$block" | tr '\n' ';' | sed 's/;$//; s/;/; /g')
		[ -n "$objections" ] || echo "$sectors ${block##*/}" >>/tmp/metalwright-fit
		echo "$(describe_disk): ${objections:-eligible}" >>/tmp/metalwright-all
	done
}

# pick_disks: those of the disks that fit which the rule asks for. With equal sizes at the border it is fewer of them.
pick_disks() {
	sed 's/^[0-9]* //' /tmp/metalwright-fit
}

# find_named: sets named to the disks of the paths that the rule names; says which there is not.
find_named() {
	named=' '
}

# choose_disks: prints the devices that the rule asks for, one a line, if they are exactly as many as it asks for.
choose_disks() {
	udevadm settle --timeout=30 2>/dev/null || true
	find_named >/tmp/metalwright-missing
	look_at_disks
	pick_disks >/tmp/metalwright-chosen
	fit=$(wc -l </tmp/metalwright-fit)
	case $fit in
	0) why='no disk fits' ;;
	1) why='one disk fits' ;;
	*) why="$fit disks fit" ;;
	esac
	if [ -s /tmp/metalwright-missing ]; then
		why=$(tr '\n' ';' </tmp/metalwright-missing | sed 's/;$//; s/;/; /g')
	elif [ "$(wc -l </tmp/metalwright-chosen)" -eq 1 ]; then
		while read -r name; do
			# The installers know a mapped device, as multipath makes, by its name.
			if [ -e "/sys/block/$name/dm/name" ]; then
				echo "/dev/mapper/$(cat "/sys/block/$name/dm/name")"
			else
				device_of "$name"
			fi
		done </tmp/metalwright-chosen
		return 0
	fi
	{
		printf '%s: %s.%s The disks:\n' 'the installation takes the only eligible disk' "$why" \
			' Set the param `disk` so that it fits one of them.'
		cat /tmp/metalwright-all
	} >&2
	return 1
}

# chosen_disks: describes the disks that choose_disks has chosen.
chosen_disks() {
	while read -r name; do
		inspect_disk "/sys/block/$name"
		describe_disk
		echo
	done </tmp/metalwright-chosen
}

# disks_under NAME: the disks in /sys/block that a device lies on. A chosen disk is one, whatever it lies on.
disks_under() {
	if [ ! -e "/sys/block/$1" ]; then
		for part in /sys/block/*/"$1"; do
			part=${part%/*}
			[ ! -e "$part/$1" ] || disks_under "${part##*/}"
		done
	elif grep -qxF "$1" /tmp/metalwright-chosen || [ -z "$(ls "/sys/block/$1/slaves" 2>/dev/null)" ]; then
		echo "$1"
	else
		for slave in "/sys/block/$1/slaves"/*; do
			disks_under "${slave##*/}"
		done
	fi
}

# disk_sets: the parts of what can lie on several disks, each as `DEVICE NAME`: volume groups, arrays, file systems, pools.
disk_sets() {
	pvs --noheadings -o vg_name,pv_name 2>/dev/null |
		sed -n 's|^ *\([^ ][^ ]*\)  *\(/dev/[^ ]*\) *$|\2 group \1|p'
	for part in /sys/block/*/size /sys/block/*/*/size; do
		device=$(device_of "${part%/size}")
		udev=$(udevadm info --query=property --name="$device" 2>/dev/null || true)
		case $(property ID_FS_TYPE) in
		linux_raid_member) echo "$device array $(property ID_FS_UUID)" ;;
		btrfs) echo "$device btrfs $(property ID_FS_UUID)" ;;
		zfs_member) echo "$device pool $(property ID_FS_LABEL)" ;;
		esac
	done
}

# spans GROUP...: says what is on the chosen disks and has parts on others, which would be damaged or written to as well,
# and where a volume group of a name that the new system gets is on another disk.
spans() {
	disk_sets | while read -r device set; do
		name=$(readlink -f "$device" || echo "$device")
		name=$(echo "${name#/dev/}" | tr '/' '!')
		disks_under "$name" | while read -r disk; do
			whose=other
			! grep -qxF "$disk" /tmp/metalwright-chosen || whose=mine
			echo "$whose $set on $device"
		done
	done | sort -u >/tmp/metalwright-sets
	while read -r whose kind set on device; do
		[ "$whose" = other ] || continue
		mine=$(grep -F "mine $kind $set on " /tmp/metalwright-sets | head -n 1)
		if [ -n "$mine" ]; then
			echo "the $kind $set is on ${mine##* } and on $device: remove it, or wipe $device; nothing was written"
			continue
		fi
		for group in "$@"; do
			[ "$kind $set" != "group $group" ] ||
				echo "the group $set is on $device, and the new system has one of this name: rename or remove it; nothing was written"
		done
	done </tmp/metalwright-sets
}

# show_disks DISK...: LVM sees these disks and their partitions alone. The installer looks for volume groups to remove by
# the beginning of a device's name, and /dev/sdaa begins with /dev/sda.
show_disks() {
	mkdir -p /etc/lvm
	{
		printf 'devices {\n\tglobal_filter = [ '
		printf '"a|^%s((-part|p)?[0-9]+)?$|", ' "$@"
		printf '"r|.*|" ]\n}\n'
	} >/etc/lvm/lvmlocal.conf
}

# forget_disk DISK: what was on the disk is not found again. The installer itself would remove volume groups and arrays
# with all their parts, on other disks too.
forget_disk() {
	name=$(readlink -f "$1")
	name=$(echo "${name#/dev/}" | tr '/' '!')
	for holder in "/sys/block/$name"/holders/md* "/sys/block/$name/$name"*/holders/md*; do
		[ ! -e "$holder" ] || mdadm --stop "/dev/${holder##*/}" || true
	done
	for part in "/sys/block/$name/$name"* "/sys/block/$name"; do
		[ -e "$part/size" ] || continue
		device=$(device_of "$part")
		sectors=$(cat "$part/size")
		dd if=/dev/zero of="$device" bs=512 count=2048 || true
		[ "$sectors" -le 2048 ] || dd if=/dev/zero of="$device" bs=512 count=2048 seek=$((sectors - 2048)) || true
	done
}

# groups_of RECIPE: the volume groups that a recipe names.
groups_of() {
	before=
	echo "$1" | tr -s ' {}' '\n' | while read -r word; do
		case $before in
		in_vg | vg_name) echo "$word" ;;
		esac
		before=$word
	done
}

if ! disks=$(choose_disks 2>/tmp/metalwright-disk.err) || [ -z "$disks" ]; then
	stop_here "$(cat /tmp/metalwright-disk.err)"
fi
groups='vg_web1'
# Without quotes each name is a word.
tied=$(spans $groups)
[ -z "$tied" ] || stop_here "$tied"
for group in $(sed -n 's/^mine group \([^ ]*\) on .*/\1/p' /tmp/metalwright-sets | sort -u); do
	vgchange -an "$group" || true
done
for disk in $disks; do
	forget_disk "$disk"
done
udevadm settle --timeout=30 || true
show_disks $disks
disks=$(echo $disks)
debconf-set partman-auto/disk "$disks"
debconf-set grub-installer/bootdev "$disks"
report log "installing on $(chosen_disks)" || true
