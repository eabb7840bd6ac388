{#- Time servers of the installed Debian system. -#}
{% set servers = param(name="ntp_servers") -%}
{% if servers -%}
mkdir -p "$root/etc/systemd/timesyncd.conf.d"
printf '[Time]\nNTP=%s\n' {{ servers | join(sep=" ") | one_line | sh }} >"$root/etc/systemd/timesyncd.conf.d/site.conf"
{% endif -%}
