// The page of one address, or of one MAC: who had it when, by the server's events.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ref } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link, type Params } from "../../app/router";
import { useObject } from "../../live/collection";
import { Button } from "../../ui/button";
import { PageHeader } from "../../ui/page";
import { Empty, Loading, Problem } from "../../ui/status";
import { KeyValue, Time } from "../../ui/values";
import { addressNumber } from "./addresses";
import { explainPath, historyPath, machinePath, subnetPath } from "./data";
import { LEASE_WORDS } from "./leases";
import type { Lease, LeasePeriod } from "./types";

interface HistoryPage {
  items: LeasePeriod[];
  next: number | null;
}

const ENDED: Record<string, string> = {
  released: "given back",
  expired: "not renewed",
  declined: "in use by another host",
  deleted: "deleted",
  moved: "moved to another address",
  taken: "taken by another client",
  unknown: "not known",
};

export function HistoryView({ params }: { params: Params }): JSX.Element {
  const who = params.who ?? "";
  const isAddress = addressNumber(who) !== undefined;
  const pages = useSignal<number[]>([0]);
  return (
    <>
      <PageHeader
        title={<span class="mono">{who}</span>}
        subtitle={
          isAddress
            ? "Who had this address, the latest first"
            : "The addresses that this client had, the latest first"
        }
      />
      <div class="stack">
        {isAddress && <PresentLease address={who} />}
        {pages.value.map((before) => (
          <Periods
            key={before}
            who={isAddress ? who : `mac:${who}`}
            before={before}
            more={
              pages.value[pages.value.length - 1] === before
                ? (next) => void (pages.value = [...pages.value, next])
                : undefined
            }
          />
        ))}
      </div>
    </>
  );
}

function PresentLease({ address }: { address: string }) {
  const lease = useObject<Lease>("leases", address);
  const data = lease.value.value;
  if (!data) return null;
  return (
    <KeyValue
      pairs={[
        ["State", LEASE_WORDS[data.state]],
        ["Subnet", <Link to={subnetPath(data.subnet)}>{data.subnet}</Link>],
        [
          "Owner",
          data.mac ? (
            <Link to={explainPath(data.mac)} class="mono">
              {data.mac}
            </Link>
          ) : (
            data.client
          ),
        ],
        ["Host name", data.hostname ?? ""],
        ["Since", <Time at={data.bound_at} />],
        ["Until", <Time at={data.expires_at} />],
      ]}
    />
  );
}

interface PeriodsProps {
  who: string;
  before: number;
  more: ((next: number) => void) | undefined;
}

function Periods({ who, before, more }: PeriodsProps) {
  const page = useQuery(`history ${who} ${before}`, (signal) =>
    api.get<HistoryPage>(`/leases/${ref(who)}/history`, before ? { before } : undefined, { signal }),
  );
  const data = page.data.value;
  if (page.problem.value) return <Problem problem={page.problem.value} onRetry={page.reload} />;
  if (!data) return <Loading />;
  if (data.items.length === 0 && before === 0) {
    return (
      <Empty title="No history">
        The kept events say nothing of it. They go back as far as the server's retention.
      </Empty>
    );
  }
  const next = data.next;
  return (
    <>
      <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
        <table class="plain">
          <thead>
            <tr>
              <th>Address</th>
              <th>Client</th>
              <th>From</th>
              <th>Until</th>
              <th>Ended</th>
            </tr>
          </thead>
          <tbody>
            {data.items.map((period) => (
              <PeriodRow key={`${period.address}${period.from}${period.client}`} period={period} />
            ))}
          </tbody>
        </table>
      </div>
      {next !== null && more && <Button onClick={() => more(next)}>Earlier</Button>}
    </>
  );
}

function PeriodRow({ period }: { period: LeasePeriod }) {
  return (
    <tr>
      <td class="mono">
        <Link to={historyPath(period.address)}>{period.address}</Link>
      </td>
      <td>
        {period.machine && <Link to={machinePath(period.machine)}>{period.machine}</Link>}{" "}
        {period.mac ? (
          <Link to={historyPath(period.mac)} class="mono" title="The addresses that this client had">
            {period.mac}
          </Link>
        ) : (
          <span class="mono">{period.client ?? "not known"}</span>
        )}
        {period.hostname && <span class="muted"> {period.hostname}</span>}
      </td>
      <td>{period.from ? <Time at={period.from} /> : <span class="muted">before the kept events</span>}</td>
      <td>{period.until ? <Time at={period.until} /> : "still has it"}</td>
      <td>
        {period.ended ? (ENDED[period.ended] ?? period.ended) : ""}
        {period.ended_by && <div class="muted">by {period.ended_by}</div>}
      </td>
    </tr>
  );
}
