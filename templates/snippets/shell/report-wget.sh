{#- Shell functions `report`, `insist` and `fetch`, with GNU wget, which the Debian installer has. -#}
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
	post "$report_url" --post-data="$2"
}

send_logs() {
	gather_logs /var/log/syslog /var/log/metalwright-late.log || return 0
	post {{ callback_url(event="installer.log") | sh }} --post-file=/tmp/metalwright-installer.log
}

# Whether the server will not have the last report: the run has gone on without it.
is_refused() {
	grep -q 'HTTP/1.1 409' /tmp/metalwright-report 2>/dev/null
}

# post URL BODY
post() {
	wget -nv -S -o /tmp/metalwright-report -T 20 --no-proxy --tries="$tries" --waitretry=5 --retry-connrefused \
		--retry-on-http-error=408,429,500,502,503,504 --header='Content-Type: text/plain' "$2" -O /dev/null "$1"
}

# fetch URL FILE: tried five times.
fetch() {
	wget -q -T 20 --no-proxy --tries=5 --waitretry=5 --retry-connrefused \
		--retry-on-http-error=408,429,500,502,503,504 -O "$2" "$1"
}

{% include "snippets/shell/report.sh" %}
