{#- Takes the packages of the param `packages_remove` from the new Debian system in $root, those that it has. -#}
{% set unwanted = compose(name="packages_remove") -%}
{% if unwanted -%}
set --
for package in {{ unwanted | sh }}; do
	if chroot "$root" dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
		set -- "$@" "$package"
	fi
done
[ "$#" = 0 ] || DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -y -q purge "$@"
{% endif -%}
