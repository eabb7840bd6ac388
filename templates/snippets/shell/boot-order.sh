{#- Keeps UEFI booting from the network first, where the param `uefi_boot_order` says so. -#}
{% if param(name="uefi_boot_order") == "network_first" -%}
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
{% endif -%}
