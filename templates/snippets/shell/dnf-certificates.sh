{#- The site's certificate authorities, trusted by the new system in $root. -#}
{% if compose(name="ca_certificates") -%}
{% include "snippets/shell/site-certificates.sh" %}
site_certificates "$root/etc/pki/ca-trust/source/anchors" pem
chroot "$root" update-ca-trust
{% endif -%}
