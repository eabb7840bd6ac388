{#- The proxy of the installed system's package manager, where the param `proxy` is set. -#}
{% set proxy = param(name="proxy", default="") -%}
{% if proxy -%}
echo {{ ("proxy=" ~ proxy) | one_line | sh }} >>"$root/etc/dnf/dnf.conf"
{% endif -%}
