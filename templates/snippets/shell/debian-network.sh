{#- A static address for the installed Debian system, where the param `network` asks for one. -#}
{% set network = param(name="network") -%}
{% if network.mode == "static" -%}
{% set dns = param(name="dns_servers") -%}
{% set search = param(name="dns_search") -%}
network_link=
for link in /sys/class/net/*; do
	[ "$(cat "$link/address")" = {{ machine.mac | sh }} ] || continue
	network_link=$link
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
if [ -z "$network_link" ]; then
	echo {{ ("no interface has the address " ~ machine.mac ~ ", so the static address could not be set") | sh }} >&2
	exit 1
fi
{% if dns -%}
{ {%- for server in dns %} echo nameserver {{ server | sh }};{% endfor %}
{%- if search %} echo search {{ search | sh }};{% endif %} } >"$root/etc/resolv.conf"
{% elif search -%}
{ sed '/^search /d' "$root/etc/resolv.conf" 2>/dev/null || true; echo search {{ search | sh }}; } >"$root/etc/resolv.conf.new"
mv "$root/etc/resolv.conf.new" "$root/etc/resolv.conf"
{% endif -%}
{% endif -%}
