// How the addresses of pools stand, and what reservations and registrations are made of.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addressNumber,
  addressText,
  joinRanges,
  macText,
  networkRange,
} from "../src/screens/networks/addresses";
import { findings, worst } from "../src/screens/networks/findings";
import {
  addressBook,
  barParts,
  BUCKETS_MAX,
  fillOf,
  poolViews,
  reservationConflict,
} from "../src/screens/networks/pools";
import {
  machineDocuments,
  nameFaults,
  proposedNames,
  readLabels,
} from "../src/screens/networks/registering";
import {
  draftOf,
  faultsByField,
  faultsOf,
  patchOf,
  reservationFaults,
  reservationOf,
  reservationOfLease,
} from "../src/screens/networks/reserve";
import {
  proposedPool,
  readRange,
  subnetDraft,
  subnetFaults,
  subnetFields,
} from "../src/screens/networks/subnet_draft";
import type { DhcpStatus, Lease, Reservation, SubnetSpec } from "../src/screens/networks/types";

const NOW = Date.parse("2026-11-30T20:00:00Z");
const STORED = { created_at: "", updated_at: "", revision: 1, commit: 1, labels: {}, problems: [] };

const lease = (address: string, part: Partial<Lease> = {}): Lease => ({
  ...STORED,
  address,
  client: "1/x",
  state: "bound",
  subnet: "lan",
  network: "lan",
  bound_at: "2026-11-30T19:00:00Z",
  expires_at: "2026-11-30T21:00:00Z",
  mac: "52:54:00:aa:00:01",
  ...part,
});
const reservation = (address: string, part: Partial<Reservation> = {}): Reservation => ({
  ...STORED,
  address,
  mac: "52:54:00:aa:00:02",
  ...part,
});

const LAN: SubnetSpec = {
  name: "lan",
  cidr: "10.0.0.0/24",
  pools: [{ start: "10.0.0.0", end: "10.0.0.9" }],
  excluded: [{ start: "10.0.0.7", end: "10.0.0.8" }],
  options: { routers: ["10.0.0.1"] },
};

test("an address is a number and back, and what is none is nothing", () => {
  assert.equal(addressText(addressNumber("192.168.255.7") ?? 0), "192.168.255.7");
  for (const wrong of ["10.0.0", "10.0.0.256", "a.b.c.d", ""])
    assert.equal(addressNumber(wrong), undefined);
  assert.deepEqual(networkRange("10.0.0.77/30"), {
    first: addressNumber("10.0.0.76"),
    last: addressNumber("10.0.0.79"),
  });
  assert.equal(macText("52-54-00-AA-00-01"), "52:54:00:aa:00:01");
  assert.equal(macText("5254.00aa.0001"), "52:54:00:aa:00:01");
  assert.equal(macText("52:54:00"), undefined);
});

test("ranges that touch are joined", () => {
  assert.deepEqual(
    joinRanges([
      { first: 5, last: 9 },
      { first: 1, last: 4 },
      { first: 20, last: 21 },
    ]),
    [
      { first: 1, last: 9 },
      { first: 20, last: 21 },
    ],
  );
});

test("each address of a small pool says how it stands", () => {
  const book = addressBook(
    [
      lease("10.0.0.2"),
      lease("10.0.0.3", { expires_at: "2026-11-30T19:59:00Z" }),
      lease("10.0.0.4", { state: "declined" }),
      lease("10.0.0.5", { state: "released" }),
      lease("10.0.0.8"),
    ],
    [reservation("10.0.0.2"), reservation("10.0.0.6")],
  );
  const [pool] = poolViews(LAN, book, NOW);
  assert.deepEqual(
    pool?.cells?.map((cell) => cell.state),
    ["held", "held", "leased", "free", "declined", "free", "reserved", "excluded", "leased", "free"],
  );
  assert.deepEqual(pool?.counts, {
    leased: 2,
    offered: 0,
    declined: 1,
    reserved: 1,
    held: 2,
    excluded: 1,
    free: 3,
  });
});

test("a pool of millions is buckets, and no address in it is lost", () => {
  const big: SubnetSpec = {
    name: "big",
    cidr: "10.0.0.0/8",
    pools: [{ start: "10.0.0.10", end: "10.255.255.250" }],
  };
  const [pool] = poolViews(
    big,
    addressBook([lease("10.200.0.1"), lease("10.0.0.10"), lease("10.255.255.250")], []),
    NOW,
  );
  assert.equal(pool?.cells, undefined);
  assert.ok(pool?.buckets && pool.buckets.length <= BUCKETS_MAX);
  assert.equal(pool.counts.leased, 3);
  assert.equal(
    Object.values(pool.counts).reduce((sum, count) => sum + count, 0),
    pool.size,
  );
  assert.equal(
    pool.buckets.reduce((sum, bucket) => sum + bucket.size, 0),
    pool.size,
  );
});

test("a subnet below a tenth is low, and one with nothing is full", () => {
  const fill = (free: number, pool_addresses = 100) => fillOf({ free, pool_addresses });
  assert.deepEqual([fill(10), fill(9), fill(0), fill(0, 0)], ["plenty", "low", "full", "none"]);
  const parts = barParts({ pool_addresses: 10, leased: 5, quarantined: 0, reserved: 1, free: 4 });
  assert.deepEqual(
    parts.map((part) => [part.state, part.share]),
    [
      ["leased", 0.5],
      ["reserved", 0.1],
      ["free", 0.4],
    ],
  );
});

test("a reservation of an address that somebody else has is a conflict, one's own is none", () => {
  const parties = { subnets: [LAN], now: NOW, machineIds: new Map([["web1", "id-1"]]) };
  const conflict = (kept: Reservation, held?: Lease) =>
    reservationConflict(kept, { ...parties, lease: held });
  assert.match(conflict(reservation("10.0.0.2"), lease("10.0.0.2")) ?? "", /leased to 52:54:00:aa:00:01/);
  assert.equal(
    conflict(reservation("10.0.0.2", { mac: "52:54:00:aa:00:01" }), lease("10.0.0.2")),
    undefined,
  );
  assert.equal(
    conflict(
      reservation("10.0.0.2", { mac: null, machine: "web1" }),
      lease("10.0.0.2", { machine: "id-1" }),
    ),
    undefined,
  );
  assert.match(
    conflict(reservation("10.0.0.2"), lease("10.0.0.2", { state: "declined" })) ?? "",
    /Another host/,
  );
  assert.match(conflict(reservation("10.9.0.2")) ?? "", /No subnet/);
});

test("a lease is reserved for its machine, else for its MAC, else for its identifier", () => {
  const machines = new Map([["id-1", "web1"]]);
  assert.deepEqual(reservationOfLease(lease("10.0.0.2", { machine: "id-1" }), machines), {
    address: "10.0.0.2",
    machine: "web1",
  });
  assert.deepEqual(reservationOfLease(lease("10.0.0.2"), machines), {
    address: "10.0.0.2",
    mac: "52:54:00:aa:00:01",
  });
  assert.deepEqual(reservationOfLease(lease("10.0.0.2", { mac: null, client: "0x01" }), machines), {
    address: "10.0.0.2",
    client_id: "0x01",
  });
});

test("a reservation that is typed wrong says so at its field", () => {
  const others = { reservations: [reservation("10.0.0.5")], subnets: [LAN] };
  const faults = (part: object) => reservationFaults({ ...draftOf(undefined), ...part }, others);
  assert.deepEqual(Object.keys(faults({ address: "10.0.0", client: "" })), ["/address", "/mac"]);
  assert.match(faults({ address: "10.0.0.5", client: "52:54:00:aa:00:01" })["/address"] ?? "", /already/);
  assert.match(faults({ address: "10.9.0.5", client: "52:54:00:aa:00:01" })["/address"] ?? "", /No subnet/);
  assert.deepEqual(
    Object.keys(faults({ address: "10.0.0.6", client: "52:54:00:aa:00:01", options: "[1]" })),
    ["/options"],
  );
  assert.deepEqual(faults({ address: "10.0.0.6", client: "52:54:00:aa:00:01" }), {});
});

test("the change of a reservation's client removes the old one", () => {
  const before = reservation("10.0.0.5", { subnet: "lan" });
  const fields = reservationOf(
    { ...draftOf(before), field: "machine", client: "web1", subnet: "" },
    before,
  );
  assert.deepEqual(patchOf(fields, before), [
    { op: "remove", path: "/mac" },
    { op: "add", path: "/address", value: "10.0.0.5" },
    { op: "add", path: "/machine", value: "web1" },
    { op: "remove", path: "/subnet" },
    { op: "add", path: "/options", value: {} },
  ]);
});

test("faults of the server stand at the field of their pointer", () => {
  const faults = faultsByField([
    { pointer: "/pools/0/end", message: "a" },
    { pointer: "/pools/1", message: "b" },
    { pointer: "/name", message: "c" },
  ]);
  assert.deepEqual(faults, { "/pools": "0 › end: a\n1: b", "/name": "c" });
  const conflict = { code: "overlaps", detail: "it overlaps lan", problems: [] };
  assert.deepEqual(faultsOf(conflict), { "/cidr": "it overlaps lan" });
  assert.deepEqual(faultsOf({ ...conflict, code: "taken" }, "/address"), { "/address": "it overlaps lan" });
});

test("a subnet is the same after its form", () => {
  const subnet: SubnetSpec = {
    ...LAN,
    pools: [{ start: "10.0.0.10", end: "10.0.0.20", options: { interface_mtu: 9000 } }],
    relays: ["10.1.0.1"],
    lease_seconds: 600,
    options: { routers: ["10.0.0.1"], domain_name: "a", rack: { code: 224, text: "x" } },
    mode: "managed",
    enabled: true,
    probe: "icmp",
  };
  const fields = subnetFields(subnetDraft(subnet), subnet);
  for (const name of ["pools", "excluded", "relays", "options", "lease_seconds", "probe", "mode"] as const)
    assert.deepEqual(fields[name], subnet[name], name);
  assert.deepEqual(subnetFaults(subnetDraft(subnet)), {});
});

test("a range is read as people write it", () => {
  assert.deepEqual(readRange("10.0.0.5-9"), { start: "10.0.0.5", end: "10.0.0.9" });
  assert.deepEqual(readRange("10.0.0.5 – 10.0.1.9"), { start: "10.0.0.5", end: "10.0.1.9" });
  assert.deepEqual(readRange("10.0.0.5"), { start: "10.0.0.5", end: "10.0.0.5" });
  assert.equal(readRange("10.0.0.9-5"), undefined);
  assert.equal(proposedPool("10.0.0.0/24"), "10.0.0.64 - 10.0.0.254");
});

test("a subnet that is typed wrong says so at its field", () => {
  const faults = subnetFaults({
    ...subnetDraft(LAN),
    name: "",
    cidr: "10.0.0.5/24",
    pools: "10.9.0.1 - 10.9.0.2",
    relays: "x",
    lease_seconds: "5",
    options: "{",
  });
  assert.deepEqual(Object.keys(faults).sort(), [
    "/cidr",
    "/lease_seconds",
    "/name",
    "/options",
    "/pools",
    "/relays",
  ]);
  assert.match(faults["/cidr"] ?? "", /10\.0\.0\.0\/24/);
});

test("names for many skip those that are taken", () => {
  const clients = ["a", "b"].map((mac) => ({
    mac,
    first_seen: "",
    last_seen: "",
    requests: 1,
    asked: "",
    reason: "",
    arch: "amd64",
  }));
  const names = proposedNames(clients, "node-##", new Set(["node-01"]));
  assert.deepEqual([...names.values()], ["node-02", "node-03"]);
  assert.deepEqual(nameFaults(["x", "x", "", "t"], new Set(["t"])).map(Boolean), [false, true, true, true]);
  assert.deepEqual(
    machineDocuments(clients, ["x", "y"], { profile: "p", workflow: "", labels: "rack=r1" })[0],
    { name: "x", macs: ["a"], arch: "amd64", profiles: ["p"], labels: { rack: "r1" } },
  );
  assert.deepEqual(readLabels("rack=r1, role=a=b x"), { rack: "r1", role: "a=b" });
});

const STATUS: DhcpStatus = {
  warnings: [],
  unserved: [],
  unserved_packets: 0,
  relays: [],
  servers: [],
  interfaces: [],
  subnets: [],
  service: {
    enabled: true,
    receives: true,
    port: 67,
    hears_servers: true,
    probes_arp: true,
    probes_icmp: true,
  },
  store: { takes_writes: true, is_short_of_space: false, free_bytes_min: 1 },
};

test("doctor's findings begin with the worst and say what to do", () => {
  assert.equal(worst(findings(STATUS)), "ok");
  const server = {
    address: "10.0.0.9",
    interface: "eth1",
    first_seen: "",
    last_seen: "",
    packets: 1,
    boot_data: true,
    expected: false,
  };
  const full = {
    name: "lan",
    network: "lan",
    cidr: "10.0.0.0/24",
    mode: "managed" as const,
    enabled: true,
    pool_addresses: 10,
    leased: 10,
    quarantined: 0,
    reserved: 0,
    free: 0,
  };
  const found = findings({
    ...STATUS,
    servers: [server],
    subnets: [full],
    relays: [{ address: "10.5.0.1", interface: "eth1", packets: 1, last_seen: "" }],
  });
  assert.deepEqual(
    found.slice(0, 3).map((one) => one.severity),
    ["bad", "bad", "warn"],
  );
  assert.ok(found.filter((one) => one.severity !== "ok").every((one) => one.todo));
  assert.equal(worst(found), "bad");
});
