// What `GET /summary` answers, and what the overview makes of it: addresses of lists, titles, shares.
// Each part is absent where the session may not read what it is made of.

import { MACHINE_STATES, type MachineState } from "../machines/row";

export type Severity = "fail" | "warn" | "info";

export interface Summary {
  at: string;
  machines?: MachineCounts;
  needs?: NeedRow[];
  runs?: RunSummary;
  server: ServerSummary;
  recent?: RecentEvent[];
}

export interface MachineCounts {
  total: number;
  states: Partial<Record<MachineState, number>>;
  armed: number;
  paused: number;
  locked: number;
  overdue: number;
}

export interface NeedRow {
  kind: string;
  severity: Severity;
  count: number;
  list: string;
  filter: string;
  items: NeedItem[];
}

export interface NeedItem {
  ref: string;
  name: string;
  since?: string;
  until?: string;
  reason?: string;
}

export interface RunSummary {
  since: string;
  started: number;
  complete: number;
  failed: number;
  cancelled: number;
  open: number;
  success_rate?: number | null;
  hours: HourRow[];
  workflows: WorkflowRow[];
}

export interface HourRow {
  at: string;
  started: number;
  complete: number;
  failed: number;
  cancelled: number;
}

export interface WorkflowRow {
  workflow: string;
  started: number;
  complete: number;
  failed: number;
  cancelled: number;
  success_rate?: number | null;
  median_seconds?: number | null;
  p95_seconds?: number | null;
}

export interface ServerSummary {
  version: string;
  status: "ok" | "warn" | "fail";
  findings: { level: "warn" | "fail"; area: string; text: string }[];
  store?: StoreSummary;
  dhcp?: DhcpSummary;
  artifacts?: ArtifactSummary;
  background?: { works: number; items: { name: string; what: string; since?: string; reason?: string }[] };
}

export interface StoreSummary {
  takes_writes: boolean;
  free_bytes?: number | null;
  free_bytes_min: number;
  is_short_of_space: boolean;
}

export interface DhcpSummary {
  enabled: boolean;
  receives: boolean;
  subnets: PoolRow[];
  rivals: RivalRow[];
}

export interface PoolRow {
  name: string;
  cidr: string;
  mode: string;
  enabled: boolean;
  pool_addresses: number;
  leased: number;
  quarantined: number;
  reserved: number;
  free: number;
}

export interface RivalRow {
  address: string;
  interface: string;
  last_seen: string;
  boot_data: boolean;
}

export interface ArtifactSummary {
  total: number;
  states: Record<string, number>;
  items: { name: string; state: string; percent?: number | null; reason?: string }[];
}

export interface RecentEvent {
  seq: number;
  time: string;
  kind: string;
  subject: string;
  name?: string;
  actor: string;
  request_id?: string;
  text?: string;
}

/** The states in the order of attention, each with its count. */
export function stateCounts(
  counts: MachineCounts,
): { state: MachineState; count: number; share: number }[] {
  const total = Math.max(counts.total, 1);
  return MACHINE_STATES.map((state) => {
    const count = counts.states[state] ?? 0;
    return { state, count, share: count / total };
  });
}

const NEED_TITLES: Record<string, [one: string, many: string]> = {
  failed: ["machine failed", "machines failed"],
  asks: ["installer asks a question", "installers ask a question"],
  overdue: ["machine is overdue", "machines are overdue"],
  held: ["machine is held", "machines are held"],
  paused: ["run is paused", "runs are paused"],
  armed: ["machine may erase its disk at the next boot", "machines may erase their disks at the next boot"],
  unknown_clients: ["unknown client asked to boot", "unknown clients asked to boot"],
  artifacts: ["artifact failed", "artifacts failed"],
};

const NEED_ADVICE: Record<string, string> = {
  failed: "Look at the reason and the timeline, mend the cause, then retry.",
  asks: "An installer waits at its console. Answer it there, or mend its answer file and restart the run.",
  overdue: "The usual time has passed. Check the machine's power and boot order.",
  held: "The workflow stopped for somebody to look. Retry or cancel it.",
  paused: "Nothing goes on until somebody resumes the run.",
  armed: "Disarm machines that are not meant to be installed now.",
  unknown_clients: "Register them as machines, or correct the MAC address of the machine they resemble.",
  artifacts: "Machines that need their files cannot be installed.",
};

/** `5 machines failed` */
export function needTitle({ kind, count }: NeedRow): string {
  const [one, many] = NEED_TITLES[kind] ?? [kind.replaceAll("_", " "), kind.replaceAll("_", " ")];
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function needAdvice({ kind }: NeedRow): string {
  return NEED_ADVICE[kind] ?? "";
}

/** The list that shows all of a row. */
export function needUrl({ list, filter }: NeedRow): string {
  const path = list === "unknown_clients" ? "/networks?tab=clients" : `/${list}`;
  return filter === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${filter}`;
}

/** The page of one item of a row. */
export function itemUrl(row: NeedRow, item: NeedItem): string {
  switch (row.list) {
    case "machines":
      return `/machines/${encodeURIComponent(item.ref)}`;
    case "artifacts":
      return `/artifacts/${encodeURIComponent(item.ref)}`;
    default:
      return needUrl(row);
  }
}

/** `95.2 %`; a rate below one is never shown as 100 %. */
export function percentText(rate: number): string {
  const percent = Math.floor(rate * 1000) / 10;
  return `${percent.toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}

const PAGES: Record<string, string> = {
  machine: "/machines",
  artifact: "/artifacts",
  run: "/runs",
  subnet: "/networks/subnets",
};

/** The page of an event's subject, `machine:0193…`; none where it has no page. */
export function subjectUrl(subject: string): string | undefined {
  const colon = subject.indexOf(":");
  const kind = subject.slice(0, colon);
  const key = subject.slice(colon + 1);
  const page = PAGES[kind];
  if (page === undefined || key === "") {
    return undefined;
  }
  return `${page}/${encodeURIComponent(key)}`;
}

/** Who did it, for people: `token admin`, or the machine itself. */
export function actorText({ actor, subject }: RecentEvent): string {
  return actor === subject ? "the machine itself" : actor.replace(":", " ");
}

export interface RecentGroup {
  /** The newest of them. */
  event: RecentEvent;
  count: number;
}

/** Events in a row that one request caused count as one line. */
export function groupRecent(events: readonly RecentEvent[]): RecentGroup[] {
  const groups: RecentGroup[] = [];
  for (const event of events) {
    const last = groups.at(-1);
    const isSame =
      last !== undefined &&
      event.request_id !== undefined &&
      event.request_id === last.event.request_id &&
      event.kind === last.event.kind;
    if (isSame) {
      last.count += 1;
    } else {
      groups.push({ event, count: 1 });
    }
  }
  return groups;
}
