{#- The package repositories of the installed Debian system, where the installer has not written them as they are to be. -#}
{% set installs = repos(package_type="apt", install_source=true) -%}
{% set install = installs | first or "" -%}
{% set mirror = param(name="debian_mirror") -%}
{% set host = mirror.host or "" -%}
{% if (install.unsigned if install and not host else false) -%}
# The tree that the system was installed from has no signature. All else is checked again.
rm -f "$root/etc/apt/apt.conf.d/90metalwright-unsigned"
sed -i {{ ("s|^deb " ~ install.url ~ "|deb [trusted=yes] " ~ install.url ~ "|") | sh }} "$root/etc/apt/sources.list"
{% endif -%}
{% for repo in repos(package_type="apt", install_source=false) -%}
{% set line %}{% include "snippets/apt-line.txt" %}{% endset -%}
{% if loop.first -%}
# expect_repository TAG START LINE: adds what the installer left out, or made a comment, because it could not read it.
expect_repository() {
	if sed -n '/^deb /s/$/ /p' "$root/etc/apt/sources.list" | grep -qF "$2 "; then
		return
	fi
	report log "the repository $1 could not be read while the system was installed: $2" || true
	signed_by=
	for file in "$root/etc/apt/keyrings/$(echo "$1" | sed 's/[^0-9A-Za-z][^0-9A-Za-z]*/_/g')".*; do
		[ ! -e "$file" ] || signed_by="[signed-by=${file#"$root"}] "
	done
	printf '\n## %s\ndeb %s%s\n' "$1" "$signed_by" "$3" >>"$root/etc/apt/sources.list"
}
{% endif -%}
expect_repository {{ repo.tag | sh }} {{ (repo.url ~ " " ~ (repo.distribution or bootenv.os.codename)) | sh }} {{ line | one_line | sh }}
{% endfor -%}
