// Events in words: one line for a list, and a change as lines of a diff. Pure.

import type { ServerEvent } from "../../live/feed";

export interface PatchStep {
  op: string;
  path: string;
  value?: unknown;
  from?: string;
}

type Fields = Record<string, unknown>;

const PATHS_MAX = 4;
const LINE_MAX = 200;

export const fieldsOf = (event: ServerEvent): Fields =>
  typeof event.data === "object" && event.data !== null ? (event.data as Fields) : {};

/** The JSON Patch of a change; none for other events. */
export function patchOf(event: ServerEvent): PatchStep[] | undefined {
  const { diff } = fieldsOf(event);
  return event.kind.endsWith(".updated") && Array.isArray(diff) ? (diff as PatchStep[]) : undefined;
}

const text = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);

function updated(event: ServerEvent, steps: PatchStep[]): string {
  const secrets = fieldsOf(event)["secrets"];
  const paths = [...steps.map((step) => step.path), ...(Array.isArray(secrets) ? secrets.map(text) : [])];
  const more = paths.length > PATHS_MAX ? ` and ${paths.length - PATHS_MAX} more` : "";
  return paths.slice(0, PATHS_MAX).join(", ") + more;
}

/** Fields whose values say most, in this order. */
const TELLING = [
  "name",
  "workflow",
  "stage",
  "bootenv",
  "task",
  "state",
  "result",
  "step",
  "label",
  "path",
  "protocol",
  "address",
  "mac",
  "message",
  "question",
  "text",
  "version",
  "pack",
  "from",
  "to",
  "size",
  "bytes",
  "reason",
];

/** An event in one line. */
export function describe(event: ServerEvent): string {
  const steps = patchOf(event);
  if (steps) return updated(event, steps);
  const fields = fieldsOf(event);
  if (/\.(created|deleted)$/.test(event.kind)) return text(fields["name"]);
  const told = TELLING.filter(
    (name) => fields[name] !== undefined && fields[name] !== null && fields[name] !== "",
  );
  const line = told
    .map((name) =>
      told.length > 1 && name !== "reason" && name !== "message"
        ? `${name} ${text(fields[name])}`
        : text(fields[name]),
    )
    .join(", ")
    .replace(/\s+/g, " ");
  return line.length > LINE_MAX ? `${line.slice(0, LINE_MAX - 1)}…` : line;
}

/** A change as unified lines: what is removed is not in the event, so only its place is said. */
export function diffLines(steps: readonly PatchStep[]): string[] {
  return steps.flatMap((step) => {
    const value = step.value === undefined ? [] : JSON.stringify(step.value, null, 2).split("\n");
    switch (step.op) {
      case "add":
        return [`@@ ${step.path}`, ...value.map((line) => `+${line}`)];
      case "replace":
        return [`@@ ${step.path}`, "-(the value before)", ...value.map((line) => `+${line}`)];
      case "remove":
        return [`@@ ${step.path}`, "-(removed)"];
      case "move":
      case "copy":
        return [`@@ ${step.path}`, `+(${step.op} of ${step.from ?? ""})`];
      default:
        return [];
    }
  });
}

const FAILURES =
  /\.(failed|lost|denied|render_failed|stopped|loop_stopped|pool_empty|no_loader|incomplete)$/;
const WARNINGS =
  /\.(overdue|held|installer_asks|cancelled|refused|declined|rival_server|address_in_use|deleted)$/;

/** The tone of a kind of event, for its badge. */
export function toneOfKind(kind: string): "bad" | "warn" | "ok" | "idle" {
  if (FAILURES.test(kind)) return "bad";
  if (WARNINGS.test(kind)) return "warn";
  return /\.(completed|done|finished|step_done)$/.test(kind) ? "ok" : "idle";
}
