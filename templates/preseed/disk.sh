{#- Runs in the Debian installer before partitioning: names the disk to install on, and takes from it what was there. -#}
{% set scheme = param(name="partitioning") -%}
{% set recipe = param(name="partitioning_recipe", default="") -%}
{% set lvm = scheme in ["lvm", "multi"] or recipe is containing(pat="$lvmok") -%}
#!/bin/sh
# {{ bootenv.name }} for {{ machine.name }}: the disk to install on.
set -eu
{% include "snippets/shell/report-wget.sh" %}
{% include "snippets/shell/stop-here.sh" %}
{% include "snippets/shell/choose-disk.sh" %}
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
tied=$(spans "$disk" {% if lvm %}system{% else %}''{% endif %})
[ -z "$tied" ] || stop_here "$tied"
forget_disk "$disk"
show_one_disk "$disk"
debconf-set partman-auto/disk "$disk"
debconf-set grub-installer/bootdev "$disk"
report log "installing on $disk" || true
