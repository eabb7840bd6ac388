{#- Shell function `console_question`: what the Debian installer shows at its console where it waits for a person. -#}
# frontend_wait: where in the kernel the installer's dialogues sleep, unless they wait for the programs of the installer.
frontend_wait() {
	for menu in $(pidof main-menu); do
		frontend=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$menu/status" || true)
		[ "$(cat "/proc/$frontend/comm" || true)" = debconf ] || continue
		case $(cat "/proc/$frontend/wchan" || true) in
		*pipe* | 0 | '') ;;
		*) cat "/proc/$frontend/wchan" ;;
		esac
		return
	done
}

# console_question: prints the installer's step and what its screen shows, on one line; nothing where it is at work. A
# dialogue waits for longer than it takes to draw one.
console_question() {
	[ -n "$(frontend_wait)" ] && sleep 2 && [ -n "$(frontend_wait)" ] || return 0
	step=$(sed -n "s/.*Menu item '\([^']*\)' selected.*/\1/p" /var/log/syslog | tail -n 1)
	shown=/dev/vcs1
	if [ -n "$(pidof screen)" ]; then
		shown=/tmp/metalwright-console
		screen -p 1 -X hardcopy "$shown" && sleep 1
	fi
	# The last dialogue on the screen begins with a mark, or with a title that is underlined.
	text=$(tr -c ' -~\n' ' ' <"$shown" | tr -s ' ' |
		awk '/^ ?-+ ?$/ { text = last } { last = $0; text = text " " $0 } END { print text }' |
		sed 's/.*\(!! ERROR\|\[!*[!?]\] \)/\1/; s/--*/-/g; s/  */ /g' | cut -c 1-600) || true
	echo "${step:-installer}: ${text:-a question}"
}
