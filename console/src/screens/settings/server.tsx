// The server itself: version, findings, listeners, background work, the check of its data, a backup, history.

import type { JSX } from "preact";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { may, scopes, session } from "../../app/session";
import { Link } from "../../app/router";
import { Button } from "../../ui/button";
import { bytesText } from "../../ui/format";
import { Card } from "../../ui/page";
import { Loading, Problem, StateBadge } from "../../ui/status";
import { Bytes, KeyValue } from "../../ui/values";
import { BackgroundWork } from "./background";
import { BackupCard, CheckCard, PruneCard } from "./server_data";

interface Finding {
  level: "ok" | "info" | "warn" | "fail";
  area: string;
  text: string;
}

interface Health {
  version: string;
  status: string;
  findings: Finding[];
  store: { takes_writes: boolean; reason?: string; free_bytes?: number | null; free_bytes_min: number };
  dhcp?: { enabled: boolean; receives: boolean };
}

const toneOfLevel = (level: string) => (level === "fail" ? "bad" : level === "warn" ? "warn" : "ok");

export function ServerPage(): JSX.Element {
  const { data, problem, reload } = useQuery("server", (signal) =>
    api.get<{ server: Health; at: string }>("/summary", undefined, { signal }),
  );
  const isAdmin = scopes.value.includes("*");
  if (problem.value && !data.value) return <Problem problem={problem.value} onRetry={reload} />;
  if (!data.value) return <Loading label="Reading the server's state" height={400} />;
  const { server } = data.value;
  return (
    <div class="stack">
      <div class="grid-cards">
        <Identity server={server} />
        <Findings findings={server.findings} onReload={reload} />
        {may("dhcp:read") && <Listeners />}
        {isAdmin && <BackupCard />}
        {isAdmin && <CheckCard />}
        {may("server:write") && <PruneCard />}
        <Metrics />
      </div>
      {may("server:read") && <BackgroundWork />}
    </div>
  );
}

function Identity({ server }: { server: Health }): JSX.Element {
  const known = session.value?.server;
  const { store } = server;
  return (
    <Card title="Server">
      <KeyValue
        pairs={[
          ["Name", known?.name],
          ["Version", server.version],
          ["State", <StateBadge state={server.status} tone={toneOfLevel(server.status)} />],
          ["Address of this page", window.location.origin],
          ["Time zone of the server", known?.zone],
          [
            "Database",
            store.takes_writes ? (
              "takes writes"
            ) : (
              <StateBadge state={store.reason ?? "takes no writes"} tone="bad" />
            ),
          ],
          [
            "Free on its disk",
            <span>
              <Bytes value={store.free_bytes} />{" "}
              <span class="muted small">warns below {bytesText(store.free_bytes_min)}</span>
            </span>,
          ],
        ]}
      />
    </Card>
  );
}

function Findings({
  findings,
  onReload,
}: {
  findings: readonly Finding[];
  onReload: () => void;
}): JSX.Element {
  return (
    <Card
      title="Findings"
      actions={
        <Button size="small" icon="reload" onClick={onReload}>
          Look again
        </Button>
      }
    >
      {findings.length === 0 && <p>Nothing needs attention.</p>}
      <ul class="finding-list">
        {findings.map((finding) => (
          <li key={finding.text}>
            <StateBadge state={finding.area} tone={toneOfLevel(finding.level)} /> {finding.text}
          </li>
        ))}
      </ul>
      <p class="muted small">
        On the server's host <code>metalwright doctor dhcp</code> examines the host as well.
      </p>
    </Card>
  );
}

interface DhcpStatus {
  service: {
    enabled: boolean;
    receives: boolean;
    port: number;
    boot_http_port?: number | null;
    hears_servers: boolean;
    probes_arp: boolean;
  };
  interfaces: Array<{ name: string; addresses: string[]; subnet?: string | null }>;
}

function Listeners(): JSX.Element {
  const { data, problem, reload } = useQuery("dhcp-status", (signal) =>
    api.get<DhcpStatus>("/dhcp/status", undefined, { signal }),
  );
  const status = data.value;
  const service = status?.service;
  return (
    <Card title="Listeners and addresses">
      {problem.value && <Problem problem={problem.value} onRetry={reload} />}
      {!status && !problem.value && <Loading height={120} />}
      {status && service && (
        <KeyValue
          pairs={[
            ["API and console", window.location.host],
            [
              "DHCP",
              service.enabled
                ? `UDP port ${service.port}${service.receives ? "" : ", cannot be read"}`
                : "off",
            ],
            ["Boot files over HTTP", service.boot_http_port ? `port ${service.boot_http_port}` : "off"],
            ["Hears other DHCP servers", service.hears_servers ? "yes" : "no"],
            ...status.interfaces.map(
              (one) =>
                [
                  `Interface ${one.name}`,
                  `${one.addresses.join(", ") || "no address"}${one.subnet ? `, subnet ${one.subnet}` : ""}`,
                ] as const,
            ),
          ]}
        />
      )}
      <p class="small">
        <Link to="/networks">Networks</Link>
      </p>
    </Card>
  );
}

function Metrics(): JSX.Element {
  return (
    <Card title="Metrics and documents">
      <ul>
        <li>
          <a href="/metrics" target="_blank" rel="noreferrer">
            Metrics
          </a>{" "}
          <span class="muted small">
            for Prometheus, scope <code>metrics:read</code>
          </span>
        </li>
        <li>
          <a href="/openapi.yaml" target="_blank" rel="noreferrer">
            openapi.yaml
          </a>{" "}
          <span class="muted small">every operation of the API</span>
        </li>
        <li>
          <a href="/readyz" target="_blank" rel="noreferrer">
            readyz
          </a>{" "}
          <span class="muted small">whether the server can do its work</span>
        </li>
      </ul>
    </Card>
  );
}
