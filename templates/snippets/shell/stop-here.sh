{#- Shell function `stop_here`: ends an installation that must not go on, whatever key is pressed. Needs `report`. -#}
{% if param(name="rehearse") -%}
{% include "snippets/shell/end-rehearsal.sh" %}
# stop_here REASON: where an installation would stop, the rehearsal has failed.
stop_here() {
	end_rehearsal failed "the installation would stop: $1"
}
{% else -%}
# stop_here REASON: tells the server and whoever is at a console, and does not come back: an installer that went on could
# write to a disk. After 24 hours the machine is powered off.
stop_here() {
	trap '' HUP INT QUIT TERM TSTP
	told=no
	tens=0
	while :; do
		[ "$told" = yes ] || ! report failed "$1" || told=yes
		for console in $(cat /sys/class/tty/console/active 2>/dev/null || echo console); do
			printf '\r\n\r\nMetalwright has stopped this installation. Nothing more is written to a disk.\r\n%s\r\n%s\r\n' \
				"$1" 'Mend that, start the workflow again, and restart this machine.' 2>/dev/null >"/dev/$console" || true
		done
		sleep 600
		tens=$((tens + 1))
		[ "$tens" -lt 144 ] || poweroff -f -f || true
	done
}
{% endif -%}
