{#- Shell functions `report`, `insist` and `fetch`, with curl, which Anaconda has. -#}
tries=5
# report done|failed|log|asks TEXT: tells the server. Tried five times; telling it twice does no harm. The ends of the
# installer's logs come with a failure.
report() {
	case $1 in
	done) report_url={{ callback_url(event="done") | sh }} ;;
	failed)
		report_url={{ callback_url(event="failed") | sh }}
		send_logs || true
		;;
	asks) report_url={{ callback_url(event="asks") | sh }} ;;
	*) report_url={{ callback_url(event="log") | sh }} ;;
	esac
	post "$report_url" --data-raw "$2"
}

send_logs() {
	gather_logs /tmp/anaconda.log /tmp/program.log /tmp/storage.log /tmp/packaging.log \
		/mnt/sysroot/var/log/anaconda/metalwright-late.log || return 0
	post {{ callback_url(event="installer.log") | sh }} --data-binary @/tmp/metalwright-installer.log
}

# Whether the server will not have the last report: the run has gone on without it.
is_refused() {
	[ "$report_status" = 409 ]
}

# post URL BODY...
post() {
	post_url=$1
	shift
	report_status=$(curl -fsS --noproxy '*' --connect-timeout 20 --speed-limit 1 --speed-time 20 \
		--retry $((tries - 1)) --retry-delay 3 --retry-all-errors --header 'Content-Type: text/plain' "$@" \
		-o /dev/null -w '%{http_code}' "$post_url")
}

# fetch URL FILE: tried five times.
fetch() {
	curl -fsS --noproxy '*' --connect-timeout 20 --speed-limit 1 --speed-time 20 \
		--retry 5 --retry-delay 3 --retry-all-errors -o "$2" "$1"
}

{% include "snippets/shell/report.sh" %}
