{#- The site's own last commands, in the new system. -#}
{% if has_param(name="late_script") -%}
# The param late_script, run inside the new system.
printf '%s\n' {{ param(name="late_script") | sh }} >"$root/root/late-script.sh"
chroot "$root" /bin/sh -e /root/late-script.sh
rm -f "$root/root/late-script.sh"
{% endif -%}
