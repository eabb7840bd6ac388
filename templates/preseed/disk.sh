{#- Runs in the Debian installer before partitioning: names the disks to install on, and takes from them what was there. In a
rehearsal it only says which they would be. -#}
{% set recipe = param(name="partitioning_recipe", default="") -%}
{% set scheme = param(name="partitioning") -%}
{% set arrays = param(name="debian_raid_recipe", default="") -%}
{% set lvm = scheme in ["lvm", "multi"] or recipe is containing(pat="$lvmok") -%}
#!/bin/sh
# {{ bootenv.name }} for {{ machine.name }}: the disk to install on.
set -eu
{% block before_disk_functions %}{% endblock -%}
{% block disk_functions -%}
{% include "snippets/shell/report-wget.sh" %}
{% include "snippets/shell/stop-here.sh" %}
{% include "snippets/shell/choose-disk.sh" %}
{% endblock -%}
{% block after_disk_functions %}{% endblock -%}
{% if not param(name="rehearse") -%}
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

{% if arrays -%}
# part_of_all NUMBER: this partition of every chosen disk: `/dev/nvme0n1p1#/dev/sda1`.
part_of_all() {
	all=
	for disk in $disks; do
		case $disk in
		*[0-9]) all="$all#${disk}p$1" ;;
		*) all="$all#$disk$1" ;;
		esac
	done
	echo "${all#?}"
}

# arrays_of RECIPE: the recipe with the partitions of the chosen disks, a word a line.
arrays_of() {
	for word in $1; do
		case $word in
		part[0-9]*) part_of_all "${word#part}" ;;
		*) echo "$word" ;;
		esac
	done
}

{% endif -%}
{% endif -%}
{% set group %}{% include "snippets/volume-group.txt" %}{% endset -%}
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

{% block before_disk_choice %}{% endblock -%}
{% block disk_choice -%}
if ! disks=$(choose_disks 2>/tmp/metalwright-disk.err) || [ -z "$disks" ]; then
	stop_here "$(cat /tmp/metalwright-disk.err)"
fi
{% endblock -%}
{% block after_disk_choice %}{% endblock -%}
groups='{% if lvm %}{{ group | trim }}{% endif %}'
{% if scheme == "custom" -%}
groups="$groups $(groups_of {{ recipe | one_line | sh }})"
{% endif -%}
# Without quotes each name is a word.
tied=$(spans $groups)
[ -z "$tied" ] || stop_here "$tied"
{% if param(name="rehearse") -%}
end_rehearsal done "the installation would take $(chosen_disks)"
{% else -%}
for group in $(sed -n 's/^mine group \([^ ]*\) on .*/\1/p' /tmp/metalwright-sets | sort -u); do
	vgchange -an "$group" || true
done
for disk in $disks; do
	forget_disk "$disk"
done
udevadm settle --timeout=30 || true
show_disks $disks
disks=$(echo $disks)
{% block before_disk_answers %}{% endblock -%}
{% block disk_answers -%}
debconf-set partman-auto/disk "$disks"
debconf-set grub-installer/bootdev "$disks"
{% if arrays -%}
debconf-set partman-auto-raid/recipe "$(echo $(arrays_of {{ arrays | one_line | sh }}))"
{% endif -%}
{% endblock -%}
{% block after_disk_answers %}{% endblock -%}
report log "installing on $(chosen_disks)" || true
{% endif -%}
