{#- Shell function `site_certificates`: writes what the param `ca_certificates` has into a folder, one a file. -#}
# site_certificates FOLDER EXTENSION: the site's own certificate authorities.
site_certificates() {
	mkdir -p "$1"
{% for certificate in compose(name="ca_certificates") -%}
	sed 's/^|//' >"$1/metalwright-{{ loop.index }}.$2" <<'END'
|{{ certificate | replace(from="\r\n", to="\n") | trim_end(pat="\n") | replace(from="\n", to="\n|") }}
END
{% endfor -%}
}
