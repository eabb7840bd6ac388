// The tab with the reservations: which address is kept for whom, conflicts, and the form for one.

import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { api, asProblem, ref, type ApiProblem } from "../../api/client";
import { Link, location, setQuery } from "../../app/router";
import { may } from "../../app/session";
import { useCollection } from "../../live/collection";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Select, TextField } from "../../ui/form";
import { Empty, Loading, Problem } from "../../ui/status";
import { toast } from "../../ui/toast";
import { compareAddresses } from "./addresses";
import { historyPath, machinePath, useMachineNames, useNow } from "./data";
import { reservationConflict } from "./pools";
import {
  CLIENT_FIELDS,
  CLIENT_LABELS,
  CLIENT_WORDS,
  clientField,
  draftOf,
  faultsOf,
  focusFault,
  patchOf,
  reservationFaults,
  reservationOf,
  type ClientField,
  type FieldFaults,
  type ReservationDraft,
} from "./reserve";
import type { Lease, Reservation, Subnet } from "./types";

export function ReservationsTab(): JSX.Element {
  const reservations = useCollection<Reservation>("reservations");
  const subnets = useCollection<Subnet>("subnets", { sort: "name" });
  const leases = useCollection<Lease>("leases");
  const deleting = useSignal<Reservation | undefined>(undefined);
  const edited = location.value.query.get("reservation");
  const only = location.value.query.get("address");
  const all = [...reservations.rows.value].sort((a, b) => compareAddresses(a.address, b.address));
  const rows = only ? all.filter((row) => row.address === only) : all;
  const kept = all.find((row) => row.address === edited);
  const open = (address: string | undefined) => setQuery({ reservation: address });
  if (reservations.problem.value && rows.length === 0)
    return <Problem problem={reservations.problem.value} onRetry={reservations.reload} />;
  if (reservations.state.value === "loading" && rows.length === 0) return <Loading />;
  const add = may("reservations:write") && (
    <Button kind="primary" icon="plus" onClick={() => open("new")}>
      Reserve an address
    </Button>
  );
  return (
    <div class="stack">
      {all.length === 0 ? (
        <Empty title="No address is reserved" actions={add}>
          A reservation keeps an address for one client or machine.
        </Empty>
      ) : (
        <>
          <div class="filters">
            {add}
            <output class="muted">{rows.length} reservations</output>
            {only && <Link to="/networks?tab=reservations">Show all {all.length}</Link>}
          </div>
          <ReservationTable
            rows={rows}
            leases={leases.rows.value}
            subnets={subnets.rows.value}
            onEdit={open}
            deleting={deleting}
          />
        </>
      )}
      {edited && (edited === "new" || kept) && (
        <ReservationForm
          key={edited}
          reservation={kept}
          others={all}
          subnets={subnets.rows.value}
          onClose={() => open(undefined)}
        />
      )}
      {deleting.value && (
        <DeleteReservation reservation={deleting.value} onClose={() => void (deleting.value = undefined)} />
      )}
    </div>
  );
}

interface TableProps {
  rows: Reservation[];
  leases: Lease[];
  subnets: Subnet[];
  onEdit: (address: string) => void;
  deleting: Signal<Reservation | undefined>;
}

function ReservationTable({ rows, leases, subnets, onEdit, deleting }: TableProps) {
  const now = useNow();
  const names = useMachineNames();
  const byAddress = new Map(leases.map((lease) => [lease.address, lease]));
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
      <table class="plain">
        <thead>
          <tr>
            <th>Address</th>
            <th>For</th>
            <th>Holds in</th>
            <th>State</th>
            <th>
              <span class="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const lease = byAddress.get(row.address);
            const conflict = reservationConflict(row, {
              lease,
              subnets,
              now: now.value,
              machineIds: names.value.byName,
            });
            return (
              <tr key={row.address}>
                <td>
                  <Link to={historyPath(row.address)} class="mono">
                    {row.address}
                  </Link>
                </td>
                <td>
                  <For reservation={row} />
                </td>
                <td>{row.subnet ?? <span class="muted">each subnet with the address</span>}</td>
                <td>
                  {conflict ? (
                    <span class="warn-text">⚠ {conflict}</span>
                  ) : lease?.state === "bound" ? (
                    "leased"
                  ) : (
                    <span class="muted">not leased</span>
                  )}
                  {row.problems.map((problem) => (
                    <div class="warn-text" key={problem.pointer}>
                      ⚠ {problem.message}
                    </div>
                  ))}
                </td>
                <td class="row-actions">
                  {may("reservations:write") && (
                    <>
                      <Button size="small" onClick={() => onEdit(row.address)}>
                        Edit
                      </Button>
                      <Button size="small" kind="danger" onClick={() => void (deleting.value = row)}>
                        Delete…
                      </Button>
                    </>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function For({ reservation }: { reservation: Reservation }) {
  if (reservation.machine)
    return (
      <>
        machine <Link to={machinePath(reservation.machine)}>{reservation.machine}</Link>
      </>
    );
  const field = clientField(reservation);
  return (
    <>
      <span class="mono">{reservation[field]}</span>
      {field !== "mac" && <div class="muted">{CLIENT_WORDS[field]}</div>}
    </>
  );
}

interface FormProps {
  reservation: Reservation | undefined;
  others: Reservation[];
  subnets: Subnet[];
  onClose: () => void;
}

function ReservationForm({ reservation, others, subnets, onClose }: FormProps) {
  const draft = useSignal<ReservationDraft>(draftOf(reservation));
  const faults = useSignal<FieldFaults>({});
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const change = (part: Partial<ReservationDraft>) => void (draft.value = { ...draft.value, ...part });
  const save = async () => {
    faults.value = reservationFaults(draft.value, {
      reservations: others,
      subnets,
      own: reservation?.address,
    });
    if (Object.keys(faults.value).length > 0) return focusFault();
    try {
      await writeReservation(draft.value, reservation);
      toast(`${draft.value.address} is reserved.`);
      onClose();
    } catch (error) {
      problem.value = asProblem(error);
      faults.value = faultsOf(problem.value, "/address");
      focusFault();
    }
  };
  return (
    <Dialog
      title={reservation ? `Reservation of ${reservation.address}` : "Reserve an address"}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" onClick={() => void save()}>
            {reservation ? "Save" : "Reserve"}
          </Button>
        </>
      }
    >
      <ReservationFields
        draft={draft.value}
        faults={faults.value}
        change={change}
        subnets={subnets}
        isFixed={reservation !== undefined}
      />
      {problem.value && <Problem problem={problem.value} />}
    </Dialog>
  );
}

async function writeReservation(draft: ReservationDraft, before: Reservation | undefined): Promise<void> {
  const fields = reservationOf(draft, before);
  if (!before) return void (await api.post("/reservations", fields));
  const media = "application/json-patch+json";
  const { address: _, ...changed } = fields;
  await api.patch(`/reservations/${ref(before.address)}`, patchOf(changed, before), {
    media,
    ifMatch: before.revision,
  });
}

interface FieldsProps {
  draft: ReservationDraft;
  faults: FieldFaults;
  change: (part: Partial<ReservationDraft>) => void;
  subnets: Subnet[];
  isFixed: boolean;
}

function ReservationFields({ draft, faults, change, subnets, isFixed }: FieldsProps) {
  return (
    <div class="form">
      {isFixed ? (
        <p>The address is the key of the reservation. For another address delete it and make another.</p>
      ) : (
        <TextField
          label="Address"
          required
          value={draft.address}
          fault={faults["/address"]}
          placeholder="10.0.0.20"
          autofocus
          onInput={(address) => change({ address })}
        />
      )}
      <Select
        label="The client is known by"
        value={draft.field}
        onChange={(field) => change({ field: field as ClientField })}
        options={CLIENT_FIELDS.map((field) => ({ value: field, label: CLIENT_WORDS[field] }))}
      />
      <TextField
        label={CLIENT_LABELS[draft.field]}
        required
        value={draft.client}
        fault={faults[`/${draft.field}`]}
        onInput={(client) => change({ client })}
      />
      <Select
        label="Holds in"
        value={draft.subnet}
        fault={faults["/subnet"]}
        onChange={(subnet) => change({ subnet })}
        options={[
          { value: "", label: "each subnet with the address" },
          ...subnets.map(({ name }) => ({ value: name, label: name })),
        ]}
      />
      <TextField
        label="TFTP server (next_server)"
        value={draft.next_server}
        fault={faults["/next_server"]}
        hint="Empty: that of the subnet."
        onInput={(next_server) => change({ next_server })}
      />
      <TextField
        multiline
        label="DHCP options (JSON)"
        value={draft.options}
        fault={faults["/options"]}
        placeholder='{"host_name": "printer"}'
        onInput={(options) => change({ options })}
      />
    </div>
  );
}

function DeleteReservation({ reservation, onClose }: { reservation: Reservation; onClose: () => void }) {
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const remove = async () => {
    try {
      await api.del(`/reservations/${ref(reservation.address)}`, { ifMatch: reservation.revision });
      toast(`${reservation.address} is not reserved any more.`);
      onClose();
    } catch (error) {
      problem.value = asProblem(error);
    }
  };
  return (
    <Dialog
      title={`Delete the reservation of ${reservation.address}?`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" onClick={() => void remove()}>
            Delete the reservation
          </Button>
        </>
      }
    >
      <p>
        The client keeps the address until its lease ends. Then any client may get it, if a pool contains
        it.
      </p>
      {problem.value && <Problem problem={problem.value} />}
    </Dialog>
  );
}
