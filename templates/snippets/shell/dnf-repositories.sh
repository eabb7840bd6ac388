{#- The package repositories of the installed system: those of the site, with their keys, and the mirror of the distribution's own. -#}
{% for repo in repos(package_type="yum", install_source=false) -%}
{% if repo.package_type -%}
{% if repo.key -%}
mkdir -p "$root/etc/pki/rpm-gpg"
sed 's/^|//' >"$root/etc/pki/rpm-gpg/RPM-GPG-KEY-"{{ repo.tag | sh }} <<'END'
|{{ repo.key | replace(from="\r\n", to="\n") | trim_end(pat="\n") | replace(from="\n", to="\n|") }}
END
{% endif -%}
{% set checked = repo.key or repo.key_url or not repo.unsigned -%}
sed 's/^|//' >"$root/etc/yum.repos.d/"{{ repo.tag | sh }}.repo <<'END'
|[{{ repo.tag }}]
|name={{ repo.tag }}
|baseurl={{ repo.url | one_line }}
|enabled=1
|gpgcheck={% if checked %}1{% else %}0{% endif %}
{%- if repo.key %}
|gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-{{ repo.tag }}
{%- elif repo.key_url %}
|gpgkey={{ repo.key_url | one_line }}
{%- endif %}
{%- if repo.artifact %}
|proxy=_none_
{%- endif %}
END
{% endif -%}
{% endfor -%}
{% if has_param(name="rocky_mirror") -%}
{% set mirror = param(name="rocky_mirror") | trim_end(pat="/") -%}
# The mirror that the system was installed from is the one that it is kept current from. A mirror may lack the extras.
mirror=$(printf '%s' {{ mirror | sh }} | sed 's/[&|\\]/\\&/g')
for file in "$root"/etc/yum.repos.d/[Rr]ocky*.repo; do
	[ -e "$file" ] || continue
	sed -i -e 's|^mirrorlist=|#&|' -e "s|^#* *baseurl=https*://dl\.rockylinux\.org/\$contentdir/|baseurl=$mirror/|" \
		-e '/^\[extras\]/a skip_if_unavailable=1'{% if mirror is starting_with(pat=server.http ~ "/") %} -e '/^baseurl=/a proxy=_none_'{% endif %} "$file"
done
{% endif -%}
