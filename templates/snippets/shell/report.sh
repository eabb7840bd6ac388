{#- Shell function `insist`, for the snippets `report-curl` and `report-wget`. -#}
# insist done|failed TEXT: like `report`, again after growing pauses until the server has it. Gives up after
# {{ param(name="report_wait_seconds") }} seconds, or where the server will not have it.
insist() {
	insist_until=$(($(uptime_seconds) + {{ param(name="report_wait_seconds") }}))
	insist_pause=2
	tries=1
	until report "$@"; do
		insist_left=$((insist_until - $(uptime_seconds)))
		if is_refused || [ "$insist_left" -le 0 ]; then
			return 1
		fi
		[ "$insist_pause" -le "$insist_left" ] || insist_pause=$insist_left
		sleep "$insist_pause"
		insist_pause=$((insist_pause * 2))
		[ "$insist_pause" -le 30 ] || insist_pause=30
	done
}

# The clock may be set meanwhile; this one only goes on.
uptime_seconds() {
	cut -d . -f 1 /proc/uptime
}

# gather_logs FILE...: the ends of the installer's logs, in /tmp/metalwright-installer.log.
gather_logs() {
	for gathered in "$@"; do
		[ -s "$gathered" ] || continue
		printf '\n==> %s <==\n' "$gathered"
		tail -c 49152 "$gathered"
	done >/tmp/metalwright-installer.log
	[ -s /tmp/metalwright-installer.log ]
}
