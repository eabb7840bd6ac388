// How the addresses of a subnet's pools stand, one by one for small pools and in buckets for large ones.
// Pure. The numbers of the server (`dhcp/status`) count; this is for the drawing.

import {
  addressNumber,
  addressText,
  joinRanges,
  networkRange,
  rangeOf,
  sizeOf,
  type NumberRange,
} from "./addresses";
import type { Lease, Reservation, SubnetSpec } from "./types";

export const ADDRESS_STATES = [
  "leased",
  "offered",
  "declined",
  "reserved",
  "held",
  "excluded",
  "free",
] as const;
/** `held` is an address that no pool gives out: the router, a server, the network's own. */
export type AddressState = (typeof ADDRESS_STATES)[number];

export const STATE_WORDS: Record<AddressState, string> = {
  leased: "leased",
  offered: "offered",
  declined: "in use by another host",
  reserved: "reserved",
  held: "not given out (router, server)",
  excluded: "excluded",
  free: "free",
};

export interface AddressCell {
  number: number;
  address: string;
  state: AddressState;
  lease?: Lease;
  reservation?: Reservation;
}

export interface Bucket {
  first: string;
  last: string;
  counts: Record<AddressState, number>;
  size: number;
}

export interface PoolView {
  range: NumberRange;
  start: string;
  end: string;
  size: number;
  /** Each address, where the pool is small enough. */
  cells?: AddressCell[];
  /** Neighbours together, where it is not. */
  buckets?: Bucket[];
  counts: Record<AddressState, number>;
}

/** Most addresses of a pool that are drawn one by one. */
export const CELLS_MAX = 512;
/** Buckets of a larger pool. */
export const BUCKETS_MAX = 256;

const COUNTING: Record<Lease["state"], AddressState | undefined> = {
  bound: "leased",
  offered: "offered",
  declined: "declined",
  released: undefined,
  expired: undefined,
};

/** How a lease counts now; ended ones leave the address free. */
export function leaseCounts(lease: Lease, now: number): AddressState | undefined {
  return Date.parse(lease.expires_at) > now ? COUNTING[lease.state] : undefined;
}

export interface AddressBook {
  leases: Map<number, Lease>;
  reservations: Map<number, Reservation>;
}

/** Leases and reservations by the number of their address. */
export function addressBook(leases: readonly Lease[], reservations: readonly Reservation[]): AddressBook {
  const book: AddressBook = { leases: new Map(), reservations: new Map() };
  for (const lease of leases) {
    const number = addressNumber(lease.address);
    if (number !== undefined) book.leases.set(number, lease);
  }
  for (const reservation of reservations) {
    const number = addressNumber(reservation.address);
    if (number !== undefined) book.reservations.set(number, reservation);
  }
  return book;
}

function named(options: Record<string, unknown> | undefined): number[] {
  const values = ["routers", "domain_name_servers"].flatMap((name) => options?.[name] ?? []);
  return values.flatMap((value) => addressNumber(String(value)) ?? []);
}

/** Addresses that no pool gives out: those of the network, of broadcasts, of routers and servers. */
function heldAddresses(subnet: SubnetSpec): Set<number> {
  const network = networkRange(subnet.cidr);
  const own = network && sizeOf(network) > 2 ? [network.first, network.last] : [];
  const next = addressNumber(subnet.next_server ?? "");
  const options = [subnet.options, ...(subnet.pools ?? []).map((pool) => pool.options)];
  return new Set([...own, ...options.flatMap(named), ...(next === undefined ? [] : [next])]);
}

interface Standing {
  book: AddressBook;
  held: Set<number>;
  excluded: NumberRange[];
  now: number;
}

function stateOf(number: number, standing: Standing): AddressState {
  const lease = standing.book.leases.get(number);
  const counted = lease && leaseCounts(lease, standing.now);
  if (counted) return counted;
  if (standing.excluded.some((range) => range.first <= number && number <= range.last)) return "excluded";
  if (standing.held.has(number)) return "held";
  return standing.book.reservations.has(number) ? "reserved" : "free";
}

const noCounts = (): Record<AddressState, number> => ({
  leased: 0,
  offered: 0,
  declined: 0,
  reserved: 0,
  held: 0,
  excluded: 0,
  free: 0,
});

function smallPool(range: NumberRange, standing: Standing): AddressCell[] {
  return Array.from({ length: sizeOf(range) }, (_, at) => {
    const number = range.first + at;
    const [lease, reservation] = [standing.book.leases.get(number), standing.book.reservations.get(number)];
    return { number, address: addressText(number), state: stateOf(number, standing), lease, reservation };
  });
}

/**
 * Buckets of equal size; only addresses with something are looked at, so a pool of millions costs nothing.
 */
function largePool(range: NumberRange, standing: Standing): Bucket[] {
  const width = Math.ceil(sizeOf(range) / BUCKETS_MAX);
  const buckets = Array.from({ length: Math.ceil(sizeOf(range) / width) }, (_, at): Bucket => {
    const first = range.first + at * width;
    const last = Math.min(first + width - 1, range.last);
    const size = last - first + 1;
    return {
      first: addressText(first),
      last: addressText(last),
      size,
      counts: { ...noCounts(), free: size },
    };
  });
  for (const number of marked(range, standing)) {
    const bucket = buckets[Math.floor((number - range.first) / width)];
    const state = stateOf(number, standing);
    if (!bucket || state === "free") continue;
    bucket.counts[state] += 1;
    bucket.counts.free -= 1;
  }
  return buckets;
}

/** Most excluded addresses that are counted one by one. */
const EXCLUDED_MAX = 70_000;

function marked(range: NumberRange, standing: Standing): Set<number> {
  const numbers = new Set<number>();
  const add = (number: number) => {
    if (range.first <= number && number <= range.last) numbers.add(number);
  };
  for (const number of standing.book.leases.keys()) add(number);
  for (const number of standing.book.reservations.keys()) add(number);
  standing.held.forEach(add);
  for (const { first, last } of standing.excluded) {
    const [from, to] = [Math.max(first, range.first), Math.min(last, range.last, first + EXCLUDED_MAX)];
    for (let number = from; number <= to; number += 1) numbers.add(number);
  }
  return numbers;
}

function sum(parts: readonly Record<AddressState, number>[]): Record<AddressState, number> {
  const counts = noCounts();
  for (const part of parts) for (const state of ADDRESS_STATES) counts[state] += part[state];
  return counts;
}

/** The pools of a subnet, each with how its addresses stand. */
export function poolViews(subnet: SubnetSpec, book: AddressBook, now: number): PoolView[] {
  const excluded = joinRanges((subnet.excluded ?? []).flatMap((range) => rangeOf(range) ?? []));
  const standing: Standing = { book, held: heldAddresses(subnet), excluded, now };
  return (subnet.pools ?? []).flatMap((pool): PoolView[] => {
    const range = rangeOf(pool);
    if (!range) return [];
    const base = { range, start: pool.start, end: pool.end, size: sizeOf(range) };
    if (sizeOf(range) > CELLS_MAX) {
      const buckets = largePool(range, standing);
      return [{ ...base, buckets, counts: sum(buckets.map((bucket) => bucket.counts)) }];
    }
    const cells = smallPool(range, standing);
    const counts = noCounts();
    for (const cell of cells) counts[cell.state] += 1;
    return [{ ...base, cells, counts }];
  });
}

export interface BarPart {
  state: AddressState;
  count: number;
  share: number;
}

/** The parts of a subnet's bar, by the server's numbers; empty parts are left out. */
export function barParts(status: {
  pool_addresses: number;
  leased: number;
  quarantined: number;
  reserved: number;
  free: number;
}): BarPart[] {
  const parts: [AddressState, number][] = [
    ["leased", status.leased],
    ["declined", status.quarantined],
    ["reserved", status.reserved],
    ["free", status.free],
  ];
  const all = Math.max(status.pool_addresses, 1);
  return parts
    .filter(([, count]) => count > 0)
    .map(([state, count]) => ({ state, count, share: count / all }));
}

export type Fill = "none" | "plenty" | "low" | "full";

/** Whether a subnet runs out of addresses: low below a tenth. */
export function fillOf(status: { pool_addresses: number; free: number }): Fill {
  if (status.pool_addresses === 0) return "none";
  if (status.free === 0) return "full";
  return status.free * 10 < status.pool_addresses ? "low" : "plenty";
}

/**
 * The reservations that stand in another's way: the address is leased to somebody else, or no subnet has
 * it.
 */
export function reservationConflict(
  reservation: Reservation,
  parties: {
    lease: Lease | undefined;
    subnets: readonly SubnetSpec[];
    now: number;
    machineIds: ReadonlyMap<string, string>;
  },
): string | undefined {
  const number = addressNumber(reservation.address);
  const { lease, subnets, now, machineIds } = parties;
  const isServed = subnets.some((subnet) => {
    const range = networkRange(subnet.cidr);
    return range !== undefined && number !== undefined && range.first <= number && number <= range.last;
  });
  if (!isServed) return "No subnet contains this address: create the subnet, or change the address.";
  if (!lease) return undefined;
  const counts = leaseCounts(lease, now);
  if (counts === "declined") return `Another host uses the address until ${lease.expires_at}.`;
  if (counts !== "leased" || isOwn(reservation, lease, machineIds)) return undefined;
  const who = lease.hostname ?? lease.mac ?? lease.client;
  const until = lease.expires_at;
  return `The address is leased to ${who} until ${until}. The client with the reservation waits until then.`;
}

function isOwn(
  reservation: ReservationSpecOf,
  lease: Lease,
  machineIds: ReadonlyMap<string, string>,
): boolean {
  if (reservation.mac) return reservation.mac === lease.mac;
  if (reservation.machine)
    return lease.machine === (machineIds.get(reservation.machine) ?? reservation.machine);
  // Identifiers and ports of switches are not in a lease: the server knows.
  return true;
}

type ReservationSpecOf = Pick<Reservation, "mac" | "machine">;
