{#- The site's own last commands, for the new system in $root. -#}
{% set own = include_optional(name="site/hooks/late.sh") -%}
{% if own -%}
{{ own | trim_end(pat="\n") }}
{% endif -%}
{% if has_param(name="late_script") -%}
{% set script = param(name="late_script") | replace(from="\r\n", to="\n") | trim_end(pat="\n") -%}
{% set first = script | split(pat="\n") | first | trim_end -%}
# The param late_script, run inside the new system. The bar before each line keeps a line like `%end` from ending this
# section of a kickstart, and goes when the script is written.
late_script=/root/metalwright-late-script
(umask 077 && sed 's/^|//' >"$root$late_script") <<'END'
|{{ script | replace(from="\n", to="\n|") }}
END
{% if script is starting_with(pat="#!") and first not in ["#!/bin/sh", "#! /bin/sh"] -%}
chmod 700 "$root$late_script"
chroot "$root" "$late_script"
{% else -%}
chroot "$root" /bin/sh -e "$late_script"
{% endif -%}
rm -f "$root$late_script"
{% endif -%}
