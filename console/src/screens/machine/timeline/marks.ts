// What one event looks like in the drawing: its lane, its length, its words and its tone.
import type { TimelineEvent } from "./events";
import { flagOf, numberOf, problemOf, textOf } from "./events";

export type Lane = "dhcp" | "files" | "renders" | "callbacks" | "jobs" | "run";
export type Tone = "ok" | "bad" | "warn" | "info" | "muted";

export const LANES: { lane: Lane; title: string }[] = [
  { lane: "dhcp", title: "DHCP" },
  { lane: "files", title: "Files" },
  { lane: "renders", title: "Renders" },
  { lane: "callbacks", title: "Reports" },
  { lane: "jobs", title: "Jobs" },
  { lane: "run", title: "Run" },
];

export interface Mark {
  seq: number;
  lane: Lane;
  kind: string;
  start: number;
  end: number;
  /** A few words, for the drawing. */
  label: string;
  /** Everything else, for the details. */
  detail: string;
  tone: Tone;
  bytes: number | null;
  event: TimelineEvent;
}

const BAD = new Set([
  "boot.render_failed",
  "boot.denied",
  "boot.failed",
  "boot.stopped",
  "boot.loop_stopped",
  "boot.no_loader",
  "boot.screen",
  "dhcp.refused",
  "run.failed",
  "job.failed",
  "job.lost",
  "run.live_system_lost",
]);
const WARN = new Set([
  "boot.file_absent",
  "boot.installer_asks",
  "run.held",
  "run.overdue",
  "dhcp.ignored",
  "dhcp.declined",
  "machine.similar_mac",
  "machine.disarmed",
  "job.incomplete",
  "run.paused",
  "boot.log_limited",
]);
const OK = new Set(["boot.done", "run.completed", "job.finished", "run.installation_confirmed"]);

export function laneOf(kind: string): Lane {
  if (kind.startsWith("dhcp.") || kind === "machine.address_changed" || kind === "machine.similar_mac")
    return "dhcp";
  if (kind.startsWith("job.")) return "jobs";
  if (["boot.file_served", "boot.file_absent", "boot.denied", "boot.no_loader"].includes(kind))
    return "files";
  if (kind === "boot.rendered" || kind === "boot.render_failed") return "renders";
  if (kind.startsWith("boot.")) return "callbacks";
  return "run";
}

export function toneOf(event: TimelineEvent): Tone {
  if (event.kind === "boot.file_served" && flagOf(event, "complete") === false) return "bad";
  if (event.kind === "boot.attempt_ended") return textOf(event, "result") === "done" ? "ok" : "warn";
  if (BAD.has(event.kind)) return "bad";
  if (WARN.has(event.kind)) return "warn";
  if (OK.has(event.kind)) return "ok";
  return event.kind.startsWith("run.") || event.kind.startsWith("machine.") ? "muted" : "info";
}

/** The last part of a path or a label. */
export function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf(":")) + 1) || path;
}

type Words = (event: TimelineEvent) => string;
const LABELS: Record<string, Words> = {
  "dhcp.offered": (event) => `offer ${textOf(event, "address")}`,
  "dhcp.leased": (event) => `lease ${textOf(event, "address")}`,
  "dhcp.renewed": (event) => `renewal ${textOf(event, "address")}`,
  "dhcp.refused": () => "NAK",
  "dhcp.released": () => "release",
  "machine.address_changed": (event) => `address ${textOf(event, "address") || "gone"}`,
  "boot.file_served": (event) => baseName(textOf(event, "path")),
  "boot.file_absent": (event) => `absent: ${baseName(textOf(event, "path"))}`,
  "boot.denied": (event) => `refused: ${baseName(textOf(event, "path"))}`,
  "boot.rendered": (event) => baseName(textOf(event, "label")),
  "boot.render_failed": (event) => `failed: ${baseName(textOf(event, "label"))}`,
  "boot.attempt_started": () => "power-on",
  "boot.attempt_ended": (event) => `ended: ${textOf(event, "result").replace("_", " ")}`,
  "boot.decided": (event) =>
    `boots ${textOf(event, "bootenv") || textOf(event, "verdict").replace("_", " ")}`,
  "boot.log": (event) => `log: ${textOf(event, "text").split("\n")[0] ?? ""}`,
  "boot.installer_asks": (event) => `asks: ${textOf(event, "question")}`,
  "run.step_done": (event) => `${textOf(event, "name")} ${textOf(event, "state")}`,
  "machine.armed": () => "armed",
  "machine.disarmed": () => "disarmed",
};

export function labelOf(event: TimelineEvent): string {
  const words = LABELS[event.kind];
  if (words) return words(event).trim();
  const what = event.kind.slice(event.kind.indexOf(".") + 1).replaceAll("_", " ");
  return event.kind.startsWith("job.") ? `${textOf(event, "task")} ${what}` : what;
}

export function detailOf(event: TimelineEvent): string {
  const reason = textOf(event, "reason") || textOf(event, "message") || textOf(event, "text");
  switch (event.kind) {
    case "boot.file_served":
      return [textOf(event, "label"), "over", protocolOf(event), "to", textOf(event, "peer")].join(" ");
    case "boot.render_failed":
      return problemOf(event);
    case "boot.installer_asks":
      return textOf(event, "question");
    case "boot.file_absent":
    case "boot.denied":
      return `${textOf(event, "path")}: ${reason}`;
    default:
      return [reason, bootFileOf(event)].filter(Boolean).join("; ");
  }
}

function protocolOf(event: TimelineEvent): string {
  return textOf(event, "protocol").toUpperCase();
}

function bootFileOf(event: TimelineEvent): string {
  const file = textOf(event, "boot_file");
  return file ? `boot file ${file}` : "";
}

export function markOf(event: TimelineEvent): Mark {
  const spent = numberOf(event, "duration_ms") ?? 0;
  return {
    seq: event.seq,
    lane: laneOf(event.kind),
    kind: event.kind,
    start: event.at - spent,
    end: event.at,
    label: labelOf(event),
    detail: detailOf(event),
    tone: toneOf(event),
    bytes: numberOf(event, "bytes"),
    event,
  };
}

/** A renewal later than this after everything else says nothing of a boot; the events have it. */
const RENEWAL_MS_MAX = 60_000;

/** Marks of events, with the events of one job as one bar from its beginning to its end. */
export function marksOf(events: TimelineEvent[]): Mark[] {
  const marks: Mark[] = [];
  const jobs = new Map<string, Mark>();
  for (const event of events) {
    const mark = markOf(event);
    if (event.kind === "dhcp.renewed" && event.at - (marks.at(-1)?.end ?? event.at) > RENEWAL_MS_MAX)
      continue;
    const job = event.kind.startsWith("job.") ? textOf(event, "job") : "";
    const open = job ? jobs.get(job) : undefined;
    if (open) {
      Object.assign(open, { ...mark, start: open.start });
    } else {
      if (job) jobs.set(job, mark);
      marks.push(mark);
    }
  }
  return marks;
}
