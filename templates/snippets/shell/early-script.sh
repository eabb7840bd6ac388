{#- The site's own first commands, in the installer, before it looks for disks. A rehearsal has none: they could write to
one. Needs `stop_here`. -#}
{% if not param(name="rehearse") -%}
{% set own = include_optional(name="site/hooks/early.sh") -%}
{% if own -%}
{{ own | trim_end(pat="\n") }}
{% endif -%}
{% if has_param(name="early_script") -%}
{% set script = param(name="early_script") | replace(from="\r\n", to="\n") | trim_end(pat="\n") -%}
{% set first = script | split(pat="\n") | first | trim_end -%}
# The param early_script. The bar before each line keeps a line like `%end` from ending this section of a kickstart, and
# goes when the script is written.
early_script=/tmp/metalwright-early-script
(umask 077 && sed 's/^|//' >"$early_script") <<'END'
|{{ script | replace(from="\n", to="\n|") }}
END
early_status=0
{% if script is starting_with(pat="#!") and first not in ["#!/bin/sh", "#! /bin/sh"] -%}
chmod 700 "$early_script"
"$early_script" </dev/null >"$early_script.log" 2>&1 3>&- || early_status=$?
{% else -%}
/bin/sh -e "$early_script" </dev/null >"$early_script.log" 2>&1 3>&- || early_status=$?
{% endif -%}
[ "$early_status" = 0 ] || stop_here "early_script ended with $early_status: $(tail -n 5 "$early_script.log")"
rm -f "$early_script"
{% endif -%}
{% endif -%}
