// The history of a machine's hardware, from the events that tell of it: what firmware said at each boot, and
// the changes of the fields that identify the machine.
import type { TimelineEvent } from "./timeline/events";
import { listOf, numberOf, textOf } from "./timeline/events";

export interface SeenBoot {
  attempt: string;
  number: number | null;
  at: number;
  arch: number | null;
  mac: string;
  address: string;
  vendor: string;
  classes: string[];
  /** The fields that are other than at the boot before. */
  changed: ("arch" | "mac" | "vendor")[];
}

/** Newest first. */
export function seenAtBoots(events: TimelineEvent[]): SeenBoot[] {
  const boots = new Map<string, SeenBoot>();
  const numbers = new Map<string, number | null>();
  for (const event of events) {
    if (event.attempt === null) continue;
    if (event.kind === "boot.attempt_started") numbers.set(event.attempt, numberOf(event, "number"));
    const arch = numberOf(event, "arch");
    if (!event.kind.startsWith("dhcp.") || arch === null || boots.has(event.attempt)) continue;
    boots.set(event.attempt, {
      attempt: event.attempt,
      number: numbers.get(event.attempt) ?? null,
      at: event.at,
      arch,
      mac: textOf(event, "mac"),
      address: textOf(event, "address"),
      vendor: textOf(event, "vendor"),
      classes: listOf(event, "client_classes"),
      changed: [],
    });
  }
  const inTime = [...boots.values()];
  const marked = inTime.map((boot, index) => {
    const before = inTime[index - 1];
    const changed = (["arch", "mac", "vendor"] as const).filter(
      (field) => before !== undefined && before[field] !== boot[field],
    );
    return { ...boot, changed };
  });
  return marked.reverse();
}

export interface HardwareChange {
  seq: number;
  at: number;
  text: string;
  by: string;
}

const FIELDS = ["/macs", "/serial", "/smbios_uuid", "/arch", "/name"];

/** Newest first. */
export function changesOfHardware(events: TimelineEvent[]): HardwareChange[] {
  const changes: HardwareChange[] = [];
  for (const event of events) {
    const text = changeText(event);
    if (text) changes.push({ seq: event.seq, at: event.at, text, by: event.actor });
  }
  return changes.reverse();
}

function changeText(event: TimelineEvent): string {
  if (event.kind === "machine.created") return "the machine was registered";
  if (event.kind === "machine.address_changed") {
    const [now, was] = [textOf(event, "address"), textOf(event, "was")];
    return `address ${now || "none"}${was ? `, was ${was}` : ""}`;
  }
  if (event.kind === "machine.similar_mac") return textOf(event, "reason");
  if (event.kind !== "machine.updated") return "";
  const diff = event.data["diff"];
  const patches: unknown[] = Array.isArray(diff) ? diff : [];
  return patches.map(patchText).filter(Boolean).join("; ");
}

function patchText(patch: unknown): string {
  if (typeof patch !== "object" || patch === null) return "";
  const { op, path, value } = patch as Record<string, unknown>;
  if (typeof path !== "string" || !FIELDS.some((field) => path === field || path.startsWith(`${field}/`)))
    return "";
  return op === "remove" ? `${path.slice(1)} removed` : `${path.slice(1)} is now ${JSON.stringify(value)}`;
}
