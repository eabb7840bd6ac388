{#- Shell function `end_rehearsal`: reports, and powers the machine off. Needs `report`. -#}
# end_rehearsal done|failed TEXT: the end of a rehearsal. Does not come back: an installer that went on could write to a disk.
end_rehearsal() {
	trap '' HUP INT QUIT TERM TSTP
	[ "$1" != done ] || report log "rehearsal: $2" || true
	report "$1" "rehearsal: $2" || true
	while :; do
		poweroff -f -f || true
		sleep 60
	done
}
