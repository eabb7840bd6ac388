// What an operator can do to a machine: each action with what it does, when it can be done, and what it asks.
// The server decides; this only keeps actions that it would refuse out of the way, and says why.
import type { Machine, Run } from "../../api/schema";

export type Verb =
  | "start"
  | "restart"
  | "retry"
  | "pause"
  | "resume"
  | "skip"
  | "mark_done"
  | "cancel"
  | "arm"
  | "disarm"
  | "lock"
  | "unlock";

export type ActionField = "workflow" | "reason" | "stop_before" | "before" | "from" | "step" | "refresh";

export interface MachineAction {
  verb: Verb;
  title: string;
  does: string;
  fields: ActionField[];
  needsReason: boolean;
  /** Has a `dry_run`, whose answer says what the next boot erases. */
  checked: boolean;
  /** Stands apart: it erases a disk, or ends work. */
  danger: boolean;
  /** Why it cannot be done now; empty if it can. */
  refused: string;
}

type Rule = Omit<MachineAction, "refused"> & { refusal: (at: Situation) => string };

interface Situation {
  locked: boolean;
  open: boolean;
  state: string;
  paused: boolean;
  willPause: boolean;
  armed: boolean;
  everRan: boolean;
  bootenv: string | null;
}

const first = (...reasons: [boolean, string][]): string => reasons.find(([holds]) => holds)?.[1] ?? "";
const LOCKED = "The machine is locked: unlock it first.";
const NO_RUN = "No run is under way.";

const RULES: Rule[] = [
  {
    verb: "start",
    title: "Start a workflow",
    does:
      "Begins a run: everything is checked and rendered " +
      "first. A boot that erases a disk is armed for 24 hours.",
    fields: ["workflow", "reason", "stop_before"],
    needsReason: false,
    checked: true,
    danger: true,
    refusal: (at) => first([at.locked, LOCKED], [at.open, "A run is under way: cancel it, or restart it."]),
  },
  {
    verb: "restart",
    title: "Restart the run",
    does:
      "Begins the workflow of the last run anew, with the " +
      "content of now. A boot that erases a disk is armed.",
    fields: ["from", "reason", "stop_before"],
    needsReason: false,
    checked: true,
    danger: true,
    refusal: (at) => first([at.locked, LOCKED], [!at.everRan, "There was no run to begin again."]),
  },
  {
    verb: "arm",
    title: "Arm",
    does: "Allows the boot that erases the disk, once, for another 24 hours.",
    fields: [],
    needsReason: false,
    checked: false,
    danger: true,
    refusal: (at) =>
      first([at.locked, LOCKED], [!at.open, NO_RUN], [at.bootenv === null, "No boot of the run is next."]),
  },
  {
    verb: "retry",
    title: "Retry",
    does:
      "Goes on at the step that failed or is held, with its tries " +
      "counted anew. It arms the machine where that step erases.",
    fields: ["refresh", "reason"],
    needsReason: false,
    checked: true,
    danger: true,
    refusal: (at) =>
      first(
        [at.locked, LOCKED],
        [!at.open, NO_RUN],
        [!["failed", "held"].includes(at.state), "No step has failed or is held."],
      ),
  },
  {
    verb: "pause",
    title: "Pause",
    does: "Lets the job or installer under way end, and begins nothing else; or pauses later, before a step.",
    fields: ["before", "reason"],
    needsReason: false,
    checked: false,
    danger: false,
    refusal: (at) => first([!at.open, NO_RUN], [at.paused, "The run is paused already."]),
  },
  {
    verb: "resume",
    title: "Resume",
    does: "Goes on after a pause, or takes back a pause that is still to come.",
    fields: [],
    needsReason: false,
    checked: false,
    danger: false,
    refusal: (at) =>
      first(
        [at.locked, LOCKED],
        [!at.open, NO_RUN],
        [!at.paused && !at.willPause, "The run is not paused."],
      ),
  },
  {
    verb: "skip",
    title: "Skip a step",
    does: "Passes over the present step and ends its job, or passes over a later task.",
    fields: ["step", "reason"],
    needsReason: true,
    checked: false,
    danger: false,
    refusal: (at) => first([!at.open, NO_RUN]),
  },
  {
    verb: "mark_done",
    title: "Mark the step done",
    does: "Goes on as if the present step had ended well.",
    fields: ["reason"],
    needsReason: true,
    checked: false,
    danger: false,
    refusal: (at) => first([!at.open, NO_RUN]),
  },
  {
    verb: "disarm",
    title: "Disarm",
    does: "Takes the permission to erase away; the machine is held.",
    fields: [],
    needsReason: false,
    checked: false,
    danger: false,
    refusal: (at) => first([!at.armed, "The machine is not armed."]),
  },
  {
    verb: "cancel",
    title: "Cancel the run",
    does: "Ends the run and disarms the machine. What is installed stays as it is.",
    fields: [],
    needsReason: false,
    checked: false,
    danger: true,
    refusal: (at) => first([!at.open, NO_RUN]),
  },
  {
    verb: "lock",
    title: "Lock",
    does: "Refuses starts, retries, arming, changes and deletion until it is unlocked.",
    fields: [],
    needsReason: false,
    checked: false,
    danger: false,
    refusal: (at) => first([at.locked, "The machine is locked already."]),
  },
  {
    verb: "unlock",
    title: "Unlock",
    does: "Allows starts, retries, arming, changes and deletion again.",
    fields: [],
    needsReason: false,
    checked: false,
    danger: false,
    refusal: (at) => first([!at.locked, "The machine is not locked."]),
  },
];

/** Every action, for lists of commands. */
export const ACTIONS: readonly { verb: Verb; title: string }[] = RULES;

function situationOf(machine: Machine): Situation {
  const { status } = machine;
  const run = status.run ?? null;
  return {
    locked: machine.locked === true,
    open: run !== null && !run.ended_at,
    state: status.state,
    paused: run?.paused === true,
    willPause: run?.stop_before != null,
    armed: status.armed_until != null,
    everRan: run !== null,
    bootenv: status.bootenv ?? null,
  };
}

export function actionsOf(machine: Machine): MachineAction[] {
  const at = situationOf(machine);
  return RULES.map(({ refusal, ...action }) => ({ ...action, refused: refusal(at) }));
}

export interface ActionInput {
  workflow: string;
  reason: string;
  step: string;
  refresh: boolean;
  accept: string[];
}

export const NO_INPUT: ActionInput = { workflow: "", reason: "", step: "", refresh: false, accept: [] };

/** A step by its number where it is one, else by its name. */
function stepReference(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** The body of a request, with nothing in it that was not said. */
export function bodyOf(action: MachineAction, input: ActionInput): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const step = input.step.trim();
  const at = action.fields.find((field) => ["stop_before", "before", "step"].includes(field));
  if (action.fields.includes("workflow") && input.workflow.trim()) body["workflow"] = input.workflow.trim();
  if (action.fields.includes("reason") && input.reason.trim()) body["reason"] = input.reason.trim();
  if (at && step) body[at] = stepReference(step);
  if (action.fields.includes("refresh") && input.refresh) body["refresh"] = true;
  if (input.accept.length > 0) body["accept"] = input.accept;
  return body;
}

/** `restart` has two steps: where it begins is separate from where it stops. */
export function withFrom(body: Record<string, unknown>, from: string): Record<string, unknown> {
  return from.trim() ? { ...body, from: stepReference(from.trim()) } : body;
}

/** What a check found out: whether a disk would be erased, in the server's words. */
export function erasesAfter(machine: Machine): string {
  const { status } = machine;
  return status.armed_until ? (status.erases ?? `what ${status.bootenv ?? "the boot"} installs on`) : "";
}

export function stepNames(run: Run | undefined): { value: string; title: string }[] {
  return (run?.steps ?? []).map((step, index) => ({
    value: String(index),
    title: `${index} · ${step.kind} ${step.name}`,
  }));
}
