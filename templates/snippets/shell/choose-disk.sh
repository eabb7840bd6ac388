{#- Shell function `choose_disk`: the disk to install on, or a reason why there is none. -#}
{% if has_param(name="install_disk") -%}
# choose_disk: prints the device that the param install_disk names, if it is there.
choose_disk() {
	wanted={{ param(name="install_disk") | sh }}
	disk=$(readlink -f "$wanted" || true)
	if [ -b "$disk" ]; then
		echo "$disk"
		return 0
	fi
	echo "the param install_disk says $wanted, and there is no such disk; there are: $(cd /sys/block && echo *)" >&2
	return 1
}
{% else -%}
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
{% endif -%}
