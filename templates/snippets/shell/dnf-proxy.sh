{#- The proxy of the installed system's package manager, where the param `proxy` is set. -#}
{% set proxy = param(name="proxy", default="") -%}
{% if proxy -%}
echo {{ ("proxy=" ~ proxy) | one_line | sh }} >>"$root/etc/dnf/dnf.conf"
{% if has_param(name="proxy_credentials") -%}
{% set login = param(name="proxy_credentials") -%}
{% if login is string %}{% set login = {"user": login, "password": login} %}{% endif -%}
printf '%s\n' {{ ["proxy_username=" ~ login.user, "proxy_password=" ~ login.password] | sh }} >>"$root/etc/dnf/dnf.conf"
{% endif -%}
{% endif -%}
