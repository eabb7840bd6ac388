// How the server itself is: what it found, disk, DHCP with its pools and rivals, artifacts, background work.

import type { ComponentChildren, JSX } from "preact";
import { Link } from "../../app/router";
import { Card } from "../../ui/page";
import { Bytes, ProgressBar, Time } from "../../ui/values";
import { SeverityMark } from "./needs";
import type { ArtifactSummary, DhcpSummary, PoolRow, ServerSummary, StoreSummary } from "./summary";

const STATUS_TEXT = {
  ok: "Healthy",
  warn: "Works, with warnings",
  fail: "Something does not work",
} as const;
const AREA_URL: Record<string, string> = {
  dhcp: "/networks",
  artifacts: "/artifacts",
  render: "/content",
  background: "/settings",
  data: "/settings",
  store: "/settings",
  access: "/settings",
};

function HealthRow({ label, children }: { label: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class="fleet-health-row">
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function StoreHealth({ store }: { store: StoreSummary }): JSX.Element {
  return (
    <HealthRow label="Disk">
      {!store.takes_writes && <strong class="fleet-bad">The database takes no writes. </strong>}
      {typeof store.free_bytes === "number" && (
        <span class={store.is_short_of_space ? "fleet-bad" : undefined}>
          <Bytes value={store.free_bytes} /> free
        </span>
      )}
      <span class="fleet-muted">
        {" "}
        (warns below <Bytes value={store.free_bytes_min} />)
      </span>
    </HealthRow>
  );
}

/** Used, quarantined, reserved and free addresses of a pool as a strip. */
function PoolStrip({ pool }: { pool: PoolRow }): JSX.Element {
  const total = Math.max(pool.pool_addresses, 1);
  const parts = [
    ["leased", pool.leased, "fleet-fill-info"],
    ["in use by others", pool.quarantined, "fleet-fill-bad"],
    ["reserved", pool.reserved, "fleet-fill-accent"],
  ] as const;
  let x = 0;
  const text = `${pool.leased} leased, ${pool.free} free of ${pool.pool_addresses}`;
  return (
    <li class="fleet-pool">
      <Link to={`/networks/subnets/${encodeURIComponent(pool.name)}`}>{pool.name}</Link>
      <span class="fleet-muted">{pool.cidr}</span>
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={text}>
        <rect class="fleet-track" width={100} height={6} />
        {parts.map(([name, count, css]) => {
          const width = (count / total) * 100;
          const rect = (
            <rect key={name} class={css} x={x} width={width} height={6}>
              <title>{`${count} ${name}`}</title>
            </rect>
          );
          x += width;
          return rect;
        })}
      </svg>
      <span class={pool.free === 0 && pool.pool_addresses > 0 ? "fleet-bad" : undefined}>
        {pool.enabled ? text : "not served"}
      </span>
    </li>
  );
}

function DhcpHealth({ dhcp }: { dhcp: DhcpSummary }): JSX.Element {
  const state = !dhcp.enabled
    ? "not served"
    : dhcp.receives
      ? "answers"
      : "cannot receive: its socket is being opened again";
  return (
    <>
      <HealthRow label="DHCP">
        <span class={dhcp.enabled && !dhcp.receives ? "fleet-bad" : undefined}>{state}</span>
        {dhcp.subnets.length > 0 && (
          <ul class="fleet-pools">
            {dhcp.subnets.map((pool) => (
              <PoolStrip key={pool.name} pool={pool} />
            ))}
          </ul>
        )}
      </HealthRow>
      <HealthRow label="Rival servers">
        {dhcp.rivals.length === 0 ? (
          "none heard"
        ) : (
          <ul>
            {dhcp.rivals.map((rival) => (
              <li key={`${rival.address} ${rival.interface}`}>
                <SeverityMark severity="warn" /> <Link to="/networks?tab=clients">{rival.address}</Link>
                {` on ${rival.interface}, ${rival.boot_data ? "with" : "without"} boot data, heard `}
                <Time at={rival.last_seen} />
              </li>
            ))}
          </ul>
        )}
      </HealthRow>
    </>
  );
}

function ArtifactHealth({ artifacts }: { artifacts: ArtifactSummary }): JSX.Element {
  return (
    <HealthRow label="Artifacts">
      <Link to="/artifacts">{`${artifacts.states.ready ?? 0} of ${artifacts.total} ready`}</Link>
      {artifacts.items.length > 0 && (
        <ul>
          {artifacts.items.map((item) => (
            <li key={item.name} class="fleet-artifact">
              <Link to={`/artifacts/${encodeURIComponent(item.name)}`}>{item.name}</Link>
              <span class={item.state === "failed" ? "fleet-bad" : "fleet-muted"}>{item.state}</span>
              {typeof item.percent === "number" && (
                <ProgressBar value={item.percent} label={`${item.name}: ${item.state}`} />
              )}
              {item.reason !== undefined && item.reason !== "" && <span>{item.reason}</span>}
            </li>
          ))}
        </ul>
      )}
    </HealthRow>
  );
}

function BackgroundHealth({
  background,
}: {
  background: NonNullable<ServerSummary["background"]>;
}): JSX.Element {
  return (
    <HealthRow label="Background work">
      {background.items.length === 0 ? (
        `all ${background.works} in order`
      ) : (
        <ul>
          {background.items.map((item) => (
            <li key={item.name}>
              <SeverityMark severity="warn" /> {`${item.name}: ${item.what}`}
              {item.since !== undefined && (
                <>
                  {" "}
                  since <Time at={item.since} />
                </>
              )}
              {item.reason !== undefined && item.reason !== "" && `, ${item.reason}`}
            </li>
          ))}
        </ul>
      )}
    </HealthRow>
  );
}

export function ServerHealth({ server }: { server: ServerSummary }): JSX.Element {
  return (
    <Card title="Server">
      <p class="fleet-server-status">
        {server.status !== "ok" && <SeverityMark severity={server.status} />}
        <strong>{STATUS_TEXT[server.status]}</strong>
        <span class="fleet-muted">{`version ${server.version}`}</span>
      </p>
      {server.findings.length > 0 && (
        <ul class="fleet-findings">
          {server.findings.map((finding) => (
            <li key={finding.text}>
              <SeverityMark severity={finding.level} />
              <span>
                <Link to={AREA_URL[finding.area] ?? "/settings"}>{finding.area}</Link>
                {`: ${finding.text}`}
              </span>
            </li>
          ))}
        </ul>
      )}
      <dl class="fleet-health">
        {server.store !== undefined && <StoreHealth store={server.store} />}
        {server.dhcp !== undefined && <DhcpHealth dhcp={server.dhcp} />}
        {server.artifacts !== undefined && <ArtifactHealth artifacts={server.artifacts} />}
        {server.background !== undefined && <BackgroundHealth background={server.background} />}
      </dl>
    </Card>
  );
}
