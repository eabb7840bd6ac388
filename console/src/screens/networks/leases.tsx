// The tab with the leases: who has which address, since when and until when. One click reserves an address.

import { computed, useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { JSX } from "preact";
import { api, asProblem, ref } from "../../api/client";
import { go, Link, location, setQuery } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Select, TextField } from "../../ui/form";
import { Empty, Loading, Problem } from "../../ui/status";
import { Table, type Column } from "../../ui/table";
import { toast } from "../../ui/toast";
import { Time } from "../../ui/values";
import { compareAddresses } from "./addresses";
import {
  explainPath,
  historyPath,
  machinePath,
  subnetPath,
  useMachineNames,
  useNow,
  type MachineNames,
} from "./data";
import { leaseCounts } from "./pools";
import { reservationOfLease } from "./reserve";
import type { Lease, LeaseState, Reservation, Subnet } from "./types";

export const LEASE_WORDS: Record<LeaseState, string> = {
  offered: "offered",
  bound: "leased",
  released: "given back",
  expired: "ended",
  declined: "in use by another host",
};

const STATES: LeaseState[] = ["bound", "declined", "expired", "released"];

export function LeasesTab(): JSX.Element {
  const query = location.value.query;
  const filter = useMemo(
    () => leaseFilter(query),
    [query.get("subnet"), query.get("state"), query.get("q"), query.get("address")],
  );
  const leases = useCollection<Lease>("leases", { filter });
  const subnets = useCollection<Subnet>("subnets", { fields: ["name"], sort: "name" });
  const names = useMachineNames();
  const reservations = useCollection<Reservation>("reservations", { fields: ["address"] });
  const reserved = useMemo(
    () => computed(() => new Set(reservations.rows.value.map((one) => one.address))),
    [reservations],
  );
  const ending = useSignal<Lease | undefined>(undefined);
  const found = leases.problem.value;
  return (
    <div class="stack">
      <LeaseFilter subnets={subnets.rows.value.map((subnet) => subnet.name)} total={leases.total} />
      {found && <Problem problem={found} onRetry={leases.reload} />}
      <LeaseTable
        rows={leases.rows}
        state={leases.state}
        names={names}
        ending={ending}
        reserved={reserved}
      />
      {ending.value && <EndLease lease={ending.value} onClose={() => void (ending.value = undefined)} />}
    </div>
  );
}

/** The filter of the API that the address of the page says. */
export function leaseFilter(query: URLSearchParams): URLSearchParams {
  const filter = new URLSearchParams();
  const [subnet, state, text] = ["subnet", "state", "q"].map((name) => query.get(name)?.trim() ?? "");
  const address = query.get("address");
  if (subnet) filter.set("subnet", subnet);
  if (state) filter.set("state", state);
  if (address) filter.set("address", address);
  else if (text) filter.set(...searchTerm(text.toLowerCase()));
  return filter;
}

/** What a typed text is looked for in: addresses, MACs or host names. */
function searchTerm(text: string): [name: string, pattern: string] {
  if (/^[\d.]+$/.test(text) && text.includes(".")) return ["address[like]", `${text}*`];
  if (/^[0-9a-f]{2}[:-]/.test(text)) return ["mac[like]", `*${text.replaceAll("-", ":")}*`];
  return ["hostname[like]", `*${text}*`];
}

function LeaseFilter({ subnets, total }: { subnets: string[]; total: ReadonlySignal<number> }) {
  const query = location.value.query;
  const change = (name: string) => (value: string) => setQuery({ [name]: value }, { replace: true });
  return (
    <div class="filters">
      <Select
        label="Subnet"
        value={query.get("subnet") ?? ""}
        onChange={change("subnet")}
        options={[{ value: "", label: "all" }, ...subnets.map((name) => ({ value: name, label: name }))]}
      />
      <Select
        label="State"
        value={query.get("state") ?? ""}
        onChange={change("state")}
        options={[
          { value: "", label: "all" },
          ...STATES.map((state) => ({ value: state, label: LEASE_WORDS[state] })),
        ]}
      />
      <TextField
        type="search"
        label="Address, MAC or host name"
        value={query.get("address") ?? query.get("q") ?? ""}
        placeholder="10.0.0. or 52:54:"
        onInput={(q) => setQuery({ q, address: undefined }, { replace: true })}
      />
      <output class="muted">{total.value.toLocaleString("en")} leases</output>
    </div>
  );
}

interface TableProps {
  rows: ReadonlySignal<Lease[]>;
  state: ReadonlySignal<string>;
  names: ReadonlySignal<MachineNames>;
  ending: Signal<Lease | undefined>;
  reserved: ReadonlySignal<ReadonlySet<string>>;
}

function LeaseTable({ rows, state, names, ending, reserved }: TableProps) {
  const now = useNow();
  const columns = useMemo(() => leaseColumns({ names, now, ending, reserved }), []);
  const sorted = useMemo(
    () => computed(() => [...rows.value].sort((a, b) => compareAddresses(a.address, b.address))),
    [rows],
  );
  if (rows.value.length === 0) {
    if (state.value === "loading") return <Loading />;
    return <Empty title="No lease">A lease is here once a client took an address.</Empty>;
  }
  return (
    <Table<Lease>
      name="leases"
      label="Leases"
      rows={sorted}
      columns={columns}
      rowKey={(lease) => lease.address}
      onOpen={(lease) => go(historyPath(lease.address))}
    />
  );
}

interface ColumnParts {
  names: ReadonlySignal<MachineNames>;
  now: ReadonlySignal<number>;
  ending: Signal<Lease | undefined>;
  reserved: ReadonlySignal<ReadonlySet<string>>;
}

function leaseColumns({ names, now, ending, reserved }: ColumnParts): Column<Lease>[] {
  return [
    {
      key: "address",
      title: "Address",
      width: "130px",
      value: (lease) => lease.address,
      render: (lease) => (
        <Link to={historyPath(lease.address)} class="mono">
          {lease.address}
        </Link>
      ),
    },
    {
      key: "state",
      title: "State",
      width: "110px",
      value: (lease) => lease.state,
      render: (lease) => <LeaseStateText lease={lease} now={now} />,
    },
    {
      key: "owner",
      title: "Owner",
      width: "minmax(230px, 1fr)",
      value: (lease) => lease.mac ?? lease.client,
      render: (lease) => <Owner lease={lease} names={names} />,
    },
    {
      key: "subnet",
      title: "Subnet",
      width: "105px",
      minPage: 800,
      value: (lease) => lease.subnet,
      render: (lease) => <Link to={subnetPath(lease.subnet)}>{lease.subnet}</Link>,
    },
    {
      key: "since",
      title: "Since",
      width: "105px",
      minPage: 900,
      value: (lease) => lease.bound_at,
      render: (lease) => <Time at={lease.bound_at} />,
    },
    {
      key: "until",
      title: "Until",
      width: "105px",
      value: (lease) => lease.expires_at,
      render: (lease) => <Time at={lease.expires_at} />,
    },
    {
      key: "actions",
      title: "",
      width: "180px",
      value: () => "",
      sort: false,
      render: (lease) => (
        <Actions lease={lease} names={names} ending={ending} now={now} reserved={reserved} />
      ),
    },
  ];
}

function LeaseStateText({ lease, now }: { lease: Lease; now: ReadonlySignal<number> }) {
  const counts = leaseCounts(lease, now.value) ?? "free";
  return (
    <span>
      <span class={`swatch state-${counts}`} aria-hidden="true" />
      {LEASE_WORDS[lease.state]}
    </span>
  );
}

export function Owner({
  lease,
  names,
}: {
  lease: Lease;
  names: ReadonlySignal<MachineNames>;
}): JSX.Element {
  const machine = lease.machine ? names.value.byId.get(lease.machine) : undefined;
  return (
    <span class="owner">
      {machine && <Link to={machinePath(machine)}>{machine}</Link>}
      {lease.mac ? (
        <Link to={explainPath(lease.mac)} class="mono" title="Explain what this client gets">
          {lease.mac}
        </Link>
      ) : (
        <span class="mono">{lease.client}</span>
      )}
      {lease.hostname && <span class="muted">{lease.hostname}</span>}
    </span>
  );
}

function Actions({ lease, names, ending, now, reserved }: { lease: Lease } & ColumnParts) {
  const isEnding = leaseCounts(lease, now.value) !== undefined;
  return (
    <span class="row-actions">
      {reserved.value.has(lease.address) ? (
        <Link class="small" to={`/networks?tab=reservations&reservation=${lease.address}`}>
          reserved
        </Link>
      ) : (
        may("reservations:write") &&
        lease.state !== "declined" && (
          <Button size="small" onClick={() => void reserve(lease, names.value)}>
            Reserve
          </Button>
        )
      )}
      {may("leases:write") && isEnding && (
        <Button size="small" onClick={() => void (ending.value = lease)}>
          Release…
        </Button>
      )}
    </span>
  );
}

/**
 * One click: the address is the client's for good. The machine where there is one, so that it moves with
 * it.
 */
async function reserve(lease: Lease, names: MachineNames): Promise<void> {
  try {
    const made = await api.post<Reservation>("/reservations", reservationOfLease(lease, names.byId));
    toast(
      `${made.address} is reserved for ${made.machine ?? made.mac ?? made.client_id ?? "this client"}.`,
    );
  } catch (error) {
    toast(`${lease.address} is not reserved.`, { problem: asProblem(error) });
  }
}

function EndLease({ lease, onClose }: { lease: Lease; onClose: () => void }) {
  const problem = useSignal<ReturnType<typeof asProblem> | undefined>(undefined);
  const end = async (verb: string) => {
    try {
      await api.post(`/leases/${ref(lease.address)}/actions/${verb}`, undefined, {
        ifMatch: lease.revision,
      });
      toast(`The lease of ${lease.address} is ended.`);
      onClose();
    } catch (error) {
      problem.value = asProblem(error);
    }
  };
  const isDeclined = lease.state === "declined";
  return (
    <Dialog
      title={`Release ${lease.address}?`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" onClick={() => void end("release")}>
            Release {lease.address}
          </Button>
        </>
      }
    >
      {isDeclined ? (
        <p>
          A client found another host on this address. After this the server may give the address to
          somebody. Make sure first that the other host is gone.
        </p>
      ) : (
        <>
          <p>
            Owner: <strong>{lease.hostname ?? lease.mac ?? lease.client}</strong>, until{" "}
            <Time at={lease.expires_at} />.
          </p>
          <p>
            The client does not hear of it: it uses the address until it renews. If the server gives the
            address to another client before that, two computers have one address. Release only leases of
            computers that are gone.
          </p>
          {lease.machine && <p>The machine of this lease has no address afterwards.</p>}
        </>
      )}
      {problem.value && <Problem problem={problem.value} />}
    </Dialog>
  );
}
