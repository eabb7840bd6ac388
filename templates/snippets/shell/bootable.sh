{#- Ends the script, with the reason, unless the new system in $root has what it boots with. -#}
# Without a kernel nothing boots, whatever else was installed. A person at the installer's menu can pass over a step.
if ! ls "$root"/boot/vmlinuz* >/dev/null 2>&1; then
	echo "there is no kernel in $root/boot: the new system would not boot"
	exit 1
fi
{% if bootenv.os.family == "debian" -%}
if [ ! -d /sys/firmware/efi ] && [ ! -e "$root/boot/grub/grub.cfg" ]; then
	echo "GRUB has no configuration in $root/boot/grub: the new system would not boot"
	exit 1
fi
{% endif -%}
