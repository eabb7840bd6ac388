{#- Time servers of the installed Debian system. -#}
{% set servers = param(name="ntp_servers") -%}
{% set daemon %}{% include "snippets/debian-time-daemon.txt" %}{% endset -%}
{% if daemon == "chrony" -%}
mkdir -p "$root/etc/chrony/sources.d"
printf 'server %s iburst\n' {{ servers | sh }} >"$root/etc/chrony/sources.d/site.sources"
{% elif servers -%}
mkdir -p "$root/etc/systemd/timesyncd.conf.d"
printf '[Time]\nNTP=%s\n' {{ servers | join(sep=" ") | one_line | sh }} >"$root/etc/systemd/timesyncd.conf.d/site.conf"
{% endif -%}
