// A subnet as a form, and what is wrong with it before the server sees it. Pure.

import { addressNumber, addressText, holds, networkRange, rangeOf, sizeOf } from "./addresses";
import { optionsText, readOptions, type FieldFaults } from "./reserve";
import type { SubnetMode, SubnetSpec } from "./types";

export const FLAGS = {
  authoritative: "Authoritative: unknown clients that ask for a wrong address get a NAK instead of silence",
  reservations_only: "Only clients with a reservation get an address",
  always_broadcast: "Replies are broadcast even to clients that accept unicast",
  ignore_link_selection: "The link that a relay agent names is ignored (option 82.5, 118)",
  bootp: "BOOTP clients with a reservation get an answer",
} as const;
export type SubnetFlag = keyof typeof FLAGS;
export const FLAG_NAMES = Object.keys(FLAGS) as SubnetFlag[];

export interface SubnetDraft {
  name: string;
  cidr: string;
  mode: SubnetMode;
  enabled: boolean;
  /** A range a line, `10.0.0.100 - 10.0.0.199`. */
  pools: string;
  excluded: string;
  relays: string;
  routers: string;
  name_servers: string;
  domain_name: string;
  options: string;
  lease_seconds: string;
  next_server: string;
  shared_network: string;
  vrf: string;
  probe: string;
  tftp_block_bytes_max: string;
  flags: Record<SubnetFlag, boolean>;
}

/** Options with a field of their own; the rest is JSON. */
const OWN_OPTIONS = ["routers", "domain_name_servers", "domain_name"];

const rangesText = (ranges: readonly { start: string; end: string }[] | undefined): string =>
  (ranges ?? [])
    .map((range) => (range.start === range.end ? range.start : `${range.start} - ${range.end}`))
    .join("\n");

const listText = (value: unknown): string =>
  Array.isArray(value) ? value.join(", ") : typeof value === "string" ? value : "";

export function subnetDraft(subnet: SubnetSpec | undefined): SubnetDraft {
  const options = subnet?.options ?? {};
  const rest = Object.fromEntries(Object.entries(options).filter(([name]) => !isOwn(name, options)));
  return {
    name: subnet?.name ?? "",
    cidr: subnet?.cidr ?? "",
    mode: subnet?.mode ?? "managed",
    enabled: subnet?.enabled ?? true,
    pools: rangesText(subnet?.pools),
    excluded: rangesText(subnet?.excluded),
    relays: (subnet?.relays ?? []).join(", "),
    routers: isOwn("routers", options) ? listText(options.routers) : "",
    name_servers: isOwn("domain_name_servers", options) ? listText(options.domain_name_servers) : "",
    domain_name: isOwn("domain_name", options) ? listText(options.domain_name) : "",
    options: optionsText(rest),
    lease_seconds: String(subnet?.lease_seconds ?? 3600),
    next_server: subnet?.next_server ?? "",
    shared_network: subnet?.shared_network ?? "",
    vrf: subnet?.vrf ?? "",
    probe: subnet?.probe ?? "arp",
    tftp_block_bytes_max: subnet?.tftp_block_bytes_max ? String(subnet.tftp_block_bytes_max) : "",
    flags: Object.fromEntries(FLAG_NAMES.map((flag) => [flag, subnet?.[flag] ?? false])) as Record<
      SubnetFlag,
      boolean
    >,
  };
}

/** Whether a field of the form can show the option; a template or an object stays JSON. */
function isOwn(name: string, options: Record<string, unknown>): boolean {
  const value = options[name];
  if (!OWN_OPTIONS.includes(name) || value === undefined) return false;
  return name === "domain_name"
    ? typeof value === "string"
    : Array.isArray(value) && value.every((one) => addressNumber(String(one)) !== undefined);
}

export const words = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);

/** A range a line; also `10.0.0.100-199`, and one address. */
export function readRange(line: string): { start: string; end: string } | undefined {
  const [start = "", end = start] = line.split(/\s*[-–]\s*/).map((part) => part.trim());
  const whole = /^\d{1,3}$/.test(end) ? `${start.split(".").slice(0, 3).join(".")}.${end}` : end;
  return rangeOf({ start, end: whole }) ? { start, end: whole } : undefined;
}

const lines = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** A pool for most of a network: from its tenth address or so to the last host. */
export function proposedPool(cidr: string): string | undefined {
  const network = networkRange(cidr);
  if (!network || sizeOf(network) < 8) return undefined;
  const start = network.first + Math.min(100, Math.ceil(sizeOf(network) / 4));
  return `${addressText(start)} - ${addressText(network.last - 1)}`;
}

export function subnetFaults(draft: SubnetDraft): FieldFaults {
  const faults: FieldFaults = {};
  const network = networkRange(draft.cidr);
  if (!draft.name.trim()) faults["/name"] = "Give a name, such as lan.";
  if (!network) faults["/cidr"] = "Give a network, such as 10.0.0.0/24.";
  else if (addressNumber(draft.cidr.split("/")[0] ?? "") !== network.first) {
    const first = addressText(network.first);
    faults["/cidr"] = `The network begins at ${first}: write ${first}/${draft.cidr.split("/")[1]}.`;
  }
  for (const field of ["pools", "excluded"] as const) {
    const bad = lines(draft[field]).find((line) => {
      const range = readRange(line);
      const numbers = range && rangeOf(range);
      return !numbers || (network && !(holds(network, numbers.first) && holds(network, numbers.last)));
    });
    if (bad)
      faults[`/${field}`] = readRange(bad)
        ? `${bad} is not inside of ${draft.cidr}.`
        : `${bad} is no range: write 10.0.0.100 - 10.0.0.199.`;
  }
  for (const [field, text] of [
    ["relays", draft.relays],
    ["options", `${draft.routers} ${draft.name_servers}`],
    ["next_server", draft.next_server],
  ] as const) {
    const bad = words(text).find((word) => addressNumber(word) === undefined);
    if (bad) faults[`/${field}`] = `${bad} is no IPv4 address.`;
  }
  const { fault } = readOptions(draft.options);
  if (fault) faults["/options"] = fault;
  if (!/^\d+$/.test(draft.lease_seconds) || Number(draft.lease_seconds) < 60)
    faults["/lease_seconds"] = "Give at least 60 seconds.";
  if (draft.tftp_block_bytes_max && !/^\d+$/.test(draft.tftp_block_bytes_max))
    faults["/tftp_block_bytes_max"] = "Give a number of bytes.";
  return faults;
}

/** What is written. `null` removes a field; options of pools stay with a pool of the same range. */
export function subnetFields(draft: SubnetDraft, before: SubnetSpec | undefined): Record<string, unknown> {
  const ranges = (text: string) => lines(text).flatMap((line) => readRange(line) ?? []);
  const optional = (text: string) => text.trim() || null;
  const pools = ranges(draft.pools).map((range) => {
    const same = before?.pools?.find((pool) => pool.start === range.start && pool.end === range.end);
    return same?.options && Object.keys(same.options).length > 0
      ? { ...range, options: same.options }
      : range;
  });
  const own: Record<string, unknown> = {};
  if (words(draft.routers).length > 0) own.routers = words(draft.routers);
  if (words(draft.name_servers).length > 0) own.domain_name_servers = words(draft.name_servers);
  if (draft.domain_name.trim()) own.domain_name = draft.domain_name.trim();
  const managed = draft.mode === "proxy" ? {} : { probe: draft.probe || null };
  const block = draft.tftp_block_bytes_max.trim();
  return {
    name: draft.name.trim(),
    cidr: draft.cidr.trim(),
    mode: draft.mode,
    enabled: draft.enabled,
    pools,
    excluded: ranges(draft.excluded),
    relays: words(draft.relays),
    options: { ...own, ...readOptions(draft.options).options },
    lease_seconds: Number(draft.lease_seconds),
    next_server: optional(draft.next_server),
    shared_network: optional(draft.shared_network),
    vrf: optional(draft.vrf),
    tftp_block_bytes_max: block ? Number(block) : null,
    ...managed,
    ...draft.flags,
  };
}

/** Without the nulls that only a patch takes. */
export const withoutNulls = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
