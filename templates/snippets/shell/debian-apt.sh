{#- What apt needs before it is first used: certificates, the proxy, trust in a tree without a signature. For early.sh. -#}
{% set certificates = compose(name="ca_certificates") -%}
{% set proxy %}{% include "snippets/proxy.txt" %}{% endset -%}
{% set installs = repos(package_type="apt", install_source=true) -%}
{% set install = installs | first or "" -%}
{% set mirror = param(name="debian_mirror") -%}
{% set host = mirror.host or "" -%}
{% set unsigned = install.unsigned if install and not host else false -%}
{% if certificates -%}
{% include "snippets/shell/site-certificates.sh" %}
# The installer's wget trusts this file beside its own certificates.
site_certificates /etc/ssl/certs crt
cat /etc/ssl/certs/metalwright-*.crt >/etc/ssl/metalwright.pem
echo 'ca_certificate = /etc/ssl/metalwright.pem' >>/etc/wgetrc
{% endif -%}
{% if certificates or proxy or unsigned -%}
# Runs when the base system is there, and before its apt is used.
mkdir -p /usr/lib/base-installer.d
cat >/usr/lib/base-installer.d/90metalwright <<'SCRIPT'
#!/bin/sh
set -e
mkdir -p /target/etc/apt/apt.conf.d
{% if certificates -%}
mkdir -p /target/usr/local/share/ca-certificates
cp /etc/ssl/certs/metalwright-*.crt /target/usr/local/share/ca-certificates/
[ ! -x /target/usr/sbin/update-ca-certificates ] || chroot /target update-ca-certificates
{% endif -%}
{% if proxy -%}
cat >/target/etc/apt/apt.conf.d/90metalwright-proxy <<'END'
Acquire::http::Proxy {{ proxy | one_line | json }};
Acquire::https::Proxy {{ proxy | one_line | json }};
Acquire::http::Proxy::{{ server.address }} "DIRECT";
END
{% endif -%}
{% if unsigned -%}
# Until late.sh marks the one repository that has no signature.
echo 'Acquire::AllowInsecureRepositories "true";' >/target/etc/apt/apt.conf.d/90metalwright-unsigned
{% endif -%}
SCRIPT
chmod 755 /usr/lib/base-installer.d/90metalwright
{% endif -%}
