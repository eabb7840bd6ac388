// Reservations as forms: from a lease, from what somebody typed, and back. Pure.

import { addressNumber, holds, macText, networkRange } from "./addresses";
import type { Lease, Reservation, ReservationSpec, SubnetSpec } from "./types";

/** A reservation that keeps a lease's address: for its machine where there is one, else for the client. */
export function reservationOfLease(lease: Lease, machines: ReadonlyMap<string, string>): ReservationSpec {
  const machine = lease.machine ? machines.get(lease.machine) : undefined;
  if (machine) return { address: lease.address, machine };
  if (lease.mac) return { address: lease.address, mac: lease.mac };
  return { address: lease.address, client_id: lease.client };
}

export const CLIENT_FIELDS = ["mac", "machine", "client_id", "circuit_id", "remote_id"] as const;
export type ClientField = (typeof CLIENT_FIELDS)[number];

export const CLIENT_WORDS: Record<ClientField, string> = {
  mac: "MAC address",
  machine: "machine, through any of its interfaces",
  client_id: "client identifier (option 61)",
  circuit_id: "port of a relay or switch (option 82.1)",
  remote_id: "relay or switch (option 82.2)",
};

/** The same as the label of the field. */
export const CLIENT_LABELS: Record<ClientField, string> = {
  mac: "MAC address",
  machine: "Machine",
  client_id: "Client identifier",
  circuit_id: "Circuit id",
  remote_id: "Remote id",
};

export interface ReservationDraft {
  address: string;
  field: ClientField;
  client: string;
  subnet: string;
  next_server: string;
  options: string;
}

export const clientField = (reservation: ReservationSpec): ClientField =>
  CLIENT_FIELDS.find((field) => reservation[field]) ?? "mac";

export function draftOf(reservation: ReservationSpec | undefined): ReservationDraft {
  const field = reservation ? clientField(reservation) : "mac";
  return {
    address: reservation?.address ?? "",
    field,
    client: reservation?.[field] ?? "",
    subnet: reservation?.subnet ?? "",
    next_server: reservation?.next_server ?? "",
    options: optionsText(reservation?.options),
  };
}

export const optionsText = (options: Record<string, unknown> | undefined): string =>
  options && Object.keys(options).length > 0 ? JSON.stringify(options, null, 2) : "";

export type FieldFaults = Record<string, string>;

/** The options of a text area; a fault where it is no JSON object. */
export function readOptions(text: string): { options: Record<string, unknown>; fault?: string } {
  if (text.trim() === "") return { options: {} };
  try {
    const options: unknown = JSON.parse(text);
    if (options && typeof options === "object" && !Array.isArray(options)) {
      return { options: options as Record<string, unknown> };
    }
  } catch (error) {
    return { options: {}, fault: `Not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  return { options: {}, fault: 'Give a JSON object, such as {"ntp_servers": ["10.0.0.9"]}.' };
}

/** What can be seen without the server; the server checks the rest. */
export function reservationFaults(
  draft: ReservationDraft,
  others: { reservations: readonly Reservation[]; subnets: readonly SubnetSpec[]; own?: string },
): FieldFaults {
  const faults: FieldFaults = {};
  const number = addressNumber(draft.address);
  if (number === undefined) faults["/address"] = "Give an IPv4 address, such as 10.0.0.20.";
  else {
    const taken = others.reservations.find(
      (one) => one.address === draft.address.trim() && one.address !== others.own,
    );
    if (taken)
      faults["/address"] = `It is reserved for ${taken[clientField(taken)] ?? "another client"} already.`;
    const isServed = others.subnets.some((subnet) => {
      const range = networkRange(subnet.cidr);
      return range !== undefined && holds(range, number);
    });
    if (!isServed) faults["/address"] ??= "No subnet contains this address.";
  }
  if (draft.client.trim() === "") faults[`/${draft.field}`] = "Say whose the address is.";
  else if (draft.field === "mac" && !macText(draft.client))
    faults["/mac"] = "Give a MAC, such as 52:54:00:aa:00:01.";
  const { fault } = readOptions(draft.options);
  if (fault) faults["/options"] = fault;
  return faults;
}

/** What is written; fields that the form does not have stay as they are. */
export function reservationOf(
  draft: ReservationDraft,
  before: ReservationSpec | undefined,
): Record<string, unknown> {
  const cleared = before
    ? Object.fromEntries(CLIENT_FIELDS.filter((field) => before[field]).map((field) => [field, null]))
    : {};
  const optional = (text: string, was: unknown) => (text.trim() ? text.trim() : was ? null : undefined);
  return {
    ...cleared,
    address: draft.address.trim(),
    [draft.field]: draft.client.trim(),
    subnet: optional(draft.subnet, before?.subnet),
    next_server: optional(draft.next_server, before?.next_server),
    options: readOptions(draft.options).options,
  };
}

/** The difference as JSON Patch: `null` removes a field, `undefined` leaves it as it is. */
export function patchOf(
  fields: Record<string, unknown>,
  before: object,
): { op: string; path: string; value?: unknown }[] {
  const has = new Set(
    Object.entries(before)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name]) => name),
  );
  return Object.entries(fields).flatMap(([name, value]) => {
    if (value === undefined || (value === null && !has.has(name))) return [];
    return [value === null ? { op: "remove", path: `/${name}` } : { op: "add", path: `/${name}`, value }];
  });
}

/** The field that a conflict with another object is about; the API names none. */
const CONFLICT_FIELDS: Record<string, string> = { overlaps: "/cidr", taken: "/name" };

/** What a refusal says of fields: by its pointers, or by its code where it has none. */
export function faultsOf(
  problem: { code: string; detail: string; problems: readonly { pointer: string; message: string }[] },
  taken = CONFLICT_FIELDS.taken,
): FieldFaults {
  if (problem.problems.length > 0) return faultsByField(problem.problems);
  const field = problem.code === "taken" ? taken : CONFLICT_FIELDS[problem.code];
  return field ? { [field]: problem.detail } : {};
}

/** Moves to the first field that is at fault, once it is drawn. */
export function focusFault(): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
}

/** The place of each fault of the server, as the form shows it: by the first two parts of its pointer. */
export function faultsByField(problems: readonly { pointer: string; message: string }[]): FieldFaults {
  const faults: FieldFaults = {};
  for (const { pointer, message } of problems) {
    const field = `/${pointer.split("/")[1] ?? ""}`;
    const place = pointer.slice(field.length);
    const text = place ? `${place.slice(1).replace(/\//g, " › ")}: ${message}` : message;
    faults[field] = faults[field] ? `${faults[field]}\n${text}` : text;
  }
  return faults;
}
