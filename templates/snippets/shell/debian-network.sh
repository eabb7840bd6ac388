{#- A static address for the installed Debian system, where the param `network` asks for one. -#}
{% set network = param(name="network") -%}
{% if network.mode == "static" -%}
{% set dns = param(name="dns_servers") -%}
{% set search = param(name="dns_search") -%}
for link in /sys/class/net/*; do
	[ "$(cat "$link/address")" = {{ machine.mac | sh }} ] || continue
	cat >"$root/etc/network/interfaces" <<-END
	# Written when this system was installed.
	source /etc/network/interfaces.d/*

	auto lo
	iface lo inet loopback

	auto ${link##*/}
	iface ${link##*/} inet static
		address {{ network.address }}/{{ network.prefix_length }}
	{%- if network.gateway or "" %}
		gateway {{ network.gateway }}
	{%- endif %}
	END
	break
done
{% if dns -%}
{ {%- for server in dns %} echo nameserver {{ server | sh }};{% endfor %}
{%- if search %} echo search {{ search | sh }};{% endif %} } >"$root/etc/resolv.conf"
{% endif -%}
{% endif -%}
