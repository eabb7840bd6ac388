{#- Installs the agent as a service of the new system in $root, where machines can reach the API. -#}
{% if server.api and param(name="install_agent") -%}
{% block before_agent_program %}{% endblock -%}
{% block agent_program -%}
mkdir -p "$root/usr/local/bin" "$root/etc/metalwright"
fetch {{ (server.http ~ "/agent/" ~ machine.arch) | sh }} "$root/usr/local/bin/metalwright"
chmod 755 "$root/usr/local/bin/metalwright"
(umask 077 && fetch {{ file_url(path="agent.toml") | sh }} "$root/etc/metalwright/agent.toml")
{% endblock -%}
{% block after_agent_program %}{% endblock -%}
{% block before_agent_service %}{% endblock -%}
{% block agent_service -%}
cat >"$root/etc/systemd/system/metalwright-agent.service" <<'END'
[Unit]
Description=Metalwright agent: runs this machine's jobs
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/bin/metalwright agent --config /etc/metalwright/agent.toml --allow-power
KillMode=process
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
END
{% endblock -%}
{% block after_agent_service %}{% endblock -%}
{% block before_agent_enabled %}{% endblock -%}
{% block agent_enabled -%}
if [ -x "$root/usr/sbin/restorecon" ]; then
	chroot "$root" restorecon -R /usr/local/bin /etc/metalwright /etc/systemd/system || true
fi
chroot "$root" systemctl enable metalwright-agent.service
{% endblock -%}
{% block after_agent_enabled %}{% endblock -%}
{% endif -%}
