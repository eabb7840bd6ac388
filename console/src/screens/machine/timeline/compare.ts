// Two attempts beside each other: when each came how far, which files each fetched, and what DHCP said.
import type { Band } from "./attempts";
import { flagOf, listOf, numberOf, textOf } from "./events";
import type { TimelineEvent } from "./events";
import { milestonesOf } from "./milestones";
import { bytesText, spanText } from "./words";

export interface ComparedRow {
  group: "progress" | "files" | "dhcp";
  what: string;
  here: string;
  there: string;
  differs: boolean;
}

export function compareAttempts(here: Band, there: Band): ComparedRow[] {
  return [...progressRows(here, there), ...dhcpRows(here, there), ...fileRows(here, there)];
}

/** How much slower a point may be reached before it counts as a difference. */
const SLOWER_FACTOR = 2;
const SLOWER_MS_MIN = 3_000;

function progressRows(here: Band, there: Band): ComparedRow[] {
  const others = new Map(milestonesOf(there).map((one) => [one.name, one]));
  return milestonesOf(here).map((one) => {
    const mine = one.after;
    const its = others.get(one.name)?.after ?? null;
    const slow = mine !== null && its !== null && mine - its > SLOWER_MS_MIN && mine > its * SLOWER_FACTOR;
    const differs = (mine === null) !== (its === null) || slow;
    return { group: "progress", what: one.title, here: afterText(mine), there: afterText(its), differs };
  });
}

function afterText(ms: number | null): string {
  return ms === null ? "never" : `after ${spanText(ms)}`;
}

function firstPacket(band: Band): TimelineEvent | undefined {
  return band.events.find((event) => event.kind === "dhcp.offered" || event.kind === "dhcp.leased");
}

const PACKET_FIELDS: [string, string][] = [
  ["arch", "Architecture (option 93)"],
  ["vendor", "Vendor class"],
  ["mac", "Interface"],
  ["address", "Address"],
  ["boot_file", "Boot file"],
  ["loader", "Loader"],
  ["client_classes", "Client classes"],
];

function dhcpRows(here: Band, there: Band): ComparedRow[] {
  const [mine, its] = [firstPacket(here), firstPacket(there)];
  if (!mine && !its) return [];
  return PACKET_FIELDS.map(([field, what]) => {
    const [one, other] = [valueText(mine, field), valueText(its, field)];
    const own = field === "mac" || field === "address";
    return { group: "dhcp", what, here: one, there: other, differs: one !== other && !own };
  });
}

function valueText(event: TimelineEvent | undefined, field: string): string {
  const number = numberOf(event, field);
  const text = number === null ? textOf(event, field) || listOf(event, field).join(", ") : String(number);
  return text || "–";
}

interface FileFact {
  bytes: number;
  ms: number;
  whole: boolean;
  times: number;
}

function filesOf(band: Band): Map<string, FileFact> {
  const files = new Map<string, FileFact>();
  for (const event of band.events) {
    if (event.kind !== "boot.file_served") continue;
    const name = textOf(event, "label");
    const times = (files.get(name)?.times ?? 0) + 1;
    const [bytes, ms] = [numberOf(event, "bytes") ?? 0, numberOf(event, "duration_ms") ?? 0];
    files.set(name, { bytes, ms, whole: flagOf(event, "complete") !== false, times });
  }
  return files;
}

function fileRows(here: Band, there: Band): ComparedRow[] {
  const [mine, its] = [filesOf(here), filesOf(there)];
  const names = new Set([...its.keys(), ...mine.keys()]);
  return [...names].map((what) => {
    const [one, other] = [mine.get(what), its.get(what)];
    const differs = !one || !other || one.bytes !== other.bytes || one.whole !== other.whole;
    return { group: "files", what, here: fileText(one), there: fileText(other), differs };
  });
}

function fileText(file: FileFact | undefined): string {
  if (!file) return "not fetched";
  const parts = [bytesText(file.bytes), spanText(file.ms)];
  if (!file.whole) parts.push("broke off");
  if (file.times > 1) parts.push(`${file.times} times`);
  return parts.join(", ");
}
