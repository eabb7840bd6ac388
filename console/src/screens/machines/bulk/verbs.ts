// What can be done with many machines, and the body of each for `POST /bulk`. An action is a verb with the
// fields that its form has. Most give every machine the same details; changes of profiles depend on those
// that a machine has, so machines are sent in groups.

import type { MachineRow } from "../row";

export type ActionField =
  | "workflow"
  | "reason"
  | "requiredReason"
  | "from"
  | "before"
  | "refresh"
  | "label"
  | "param"
  | "profile"
  | "channel"
  | "force";

export interface BulkAction {
  id: string;
  title: string;
  /** What happens to a machine, in one sentence. */
  about: string;
  verb: string;
  fields: readonly ActionField[];
  group: "Run" | "Erase" | "Change" | "Remove";
  /** Whether the next boot of a machine may erase its disk because of it. */
  mayErase: boolean;
  /** The verb in the past, for the result: `paused`. */
  done: string;
}

/** What the form holds. */
export interface ActionInput {
  workflow: string;
  reason: string;
  from: string;
  before: string;
  refresh: boolean;
  name: string;
  value: string;
  isRemoved: boolean;
  profile: string;
  profileMode: "first" | "last" | "remove";
  channel: string;
  force: boolean;
  accept: readonly string[];
}

export const EMPTY_INPUT: ActionInput = {
  workflow: "",
  reason: "",
  from: "",
  before: "",
  refresh: false,
  name: "",
  value: "",
  isRemoved: false,
  profile: "",
  profileMode: "last",
  channel: "",
  force: false,
  accept: [],
};

const MAY_ERASE = new Set(["start", "restart", "retry", "resume", "arm", "skip", "mark_done"]);

type ActionRow = [
  id: string,
  title: string,
  done: string,
  about: string,
  fields: ActionField[],
  verb?: string,
];

function group(name: BulkAction["group"], rows: readonly ActionRow[]): BulkAction[] {
  return rows.map(([id, title, done, about, fields, verb = id]) => ({
    id,
    title,
    done,
    about,
    fields,
    verb,
    group: name,
    mayErase: MAY_ERASE.has(id),
  }));
}

export const ACTIONS: readonly BulkAction[] = [
  ...group("Run", [
    [
      "start",
      "Start a workflow",
      "started",
      "Begins a run. A workflow that installs arms the machine: its next boot erases the disk.",
      ["workflow", "reason", "before"],
    ],
    [
      "pause",
      "Pause",
      "paused",
      "The running job ends; no further job and no further boot begins.",
      ["reason", "before"],
    ],
    ["resume", "Resume", "resumed", "A paused run goes on.", []],
    [
      "retry",
      "Retry",
      "retried",
      "The run goes on at the step that failed or was held.",
      ["refresh", "reason"],
    ],
    [
      "restart",
      "Restart",
      "restarted",
      "The last run begins again, with the present content.",
      ["from", "reason"],
    ],
    ["skip", "Skip the step", "skipped", "The run passes over its present task.", ["requiredReason"]],
    [
      "mark_done",
      "Mark the step done",
      "marked done",
      "The present step counts as done.",
      ["requiredReason"],
    ],
    ["cancel", "Cancel", "cancelled", "Ends the run and disarms the machine.", []],
  ]),
  ...group("Erase", [
    ["arm", "Arm", "armed", "Allows the next destructive boot once more.", []],
    ["disarm", "Disarm", "disarmed", "Withdraws the permission for a destructive boot.", []],
  ]),
  ...group("Change", [
    ["label", "Set a label", "labelled", "Sets or removes one label.", ["label"], "patch"],
    [
      "param",
      "Set a param",
      "changed",
      "Sets or removes the machine's own value of one param.",
      ["param"],
      "patch",
    ],
    [
      "profile",
      "Add or remove a profile",
      "changed",
      "Changes the machine's list of profiles. An earlier profile wins.",
      ["profile"],
      "patch",
    ],
    [
      "workflow",
      "Set the own workflow",
      "changed",
      "The workflow that a start without a workflow runs.",
      ["workflow"],
      "patch",
    ],
    [
      "channel",
      "Set the channel",
      "changed",
      "The channel whose content the next run gets.",
      ["channel"],
      "patch",
    ],
    [
      "lock",
      "Lock",
      "locked",
      "A locked machine cannot be started, armed, changed or deleted.",
      [],
      "patch",
    ],
    ["unlock", "Unlock", "unlocked", "Lifts the lock.", [], "patch"],
  ]),
  ...group("Remove", [
    [
      "delete",
      "Delete",
      "deleted",
      "Removes the machine from this server. Its disks are not touched.",
      ["force"],
    ],
  ]),
];

export function actionOf(id: string): BulkAction | undefined {
  return ACTIONS.find((action) => action.id === id);
}

/** What a form lacks before it can be sent, as a sentence; none if it is complete. */
export function inputFault(action: BulkAction, input: ActionInput): string | undefined {
  const has = (field: ActionField): boolean => action.fields.includes(field);
  if (has("requiredReason") && input.reason.trim() === "") {
    return "Give a reason: the run's record keeps it.";
  }
  if (input.accept.length > 0 && input.reason.trim() === "") {
    return "Give a reason why the faults are accepted.";
  }
  if ((has("label") || has("param")) && input.name.trim() === "") {
    return `Name the ${has("label") ? "label" : "param"}.`;
  }
  if (has("profile") && input.profile === "") {
    return "Choose a profile.";
  }
  return undefined;
}

/** Values that are valid JSON are JSON, any other is text; as in `metalwright machines set`. */
export function parseValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

type Details = Record<string, unknown>;

function textDetails(action: BulkAction, input: ActionInput): Details {
  const details: Details = {};
  const names = [
    ["workflow", "workflow"],
    ["reason", "reason"],
    ["requiredReason", "reason"],
    ["from", "from"],
    ["before", action.id === "pause" ? "before" : "stop_before"],
  ] as const;
  for (const [field, name] of names) {
    const text = (field === "requiredReason" ? input.reason : input[field]).trim();
    if (action.fields.includes(field) && text !== "") {
      details[name] = field === "from" || field === "before" ? stepReference(text) : text;
    }
  }
  return details;
}

/** A step by its number or its name. */
function stepReference(text: string): number | string {
  return /^\d{1,6}$/u.test(text) ? Number(text) : text;
}

function patchDetails(action: BulkAction, input: ActionInput): Details {
  const name = input.name.trim();
  switch (action.id) {
    case "label":
      return { labels: { [name]: input.isRemoved ? null : input.value } };
    case "param":
      return { params: { [name]: input.isRemoved ? null : parseValue(input.value) } };
    case "workflow":
      return { workflow: input.workflow === "" ? null : input.workflow };
    case "channel":
      return { channel: input.channel.trim() === "" ? null : input.channel.trim() };
    default:
      return { locked: action.id === "lock" };
  }
}

export function detailsOf(action: BulkAction, input: ActionInput): Details {
  if (action.verb === "patch") {
    return patchDetails(action, input);
  }
  const details = textDetails(action, input);
  if (action.id === "retry" && input.refresh) {
    details.refresh = true;
  }
  if (input.accept.length > 0 && canAccept(action)) {
    details.accept = [...input.accept];
  }
  return details;
}

/** Whether the check before the action finds faults that an operator can accept. */
export function canAccept(action: BulkAction): boolean {
  return action.id === "start" || action.id === "restart" || action.id === "retry";
}

/** Machines that get the same details. */
export interface BulkBatch {
  details: Details;
  refs: string[];
}

export interface BulkPlan {
  batches: BulkBatch[];
  /** Machines that are as the action would make them. */
  unchanged: number;
}

/** The machines in groups by what they are sent. */
export function planBatches(
  action: BulkAction,
  input: ActionInput,
  machines: readonly MachineRow[],
): BulkPlan {
  if (action.id !== "profile") {
    const refs = machines.map((machine) => machine.id);
    return {
      batches: refs.length === 0 ? [] : [{ details: detailsOf(action, input), refs }],
      unchanged: 0,
    };
  }
  const groups = new Map<string, BulkBatch>();
  let unchanged = 0;
  for (const { id, profiles = [] } of machines) {
    const changed = changedProfiles(profiles, input);
    if (changed.join("\n") === profiles.join("\n")) {
      unchanged += 1;
      continue;
    }
    const key = changed.join("\n");
    const batch = groups.get(key) ?? { details: { profiles: changed }, refs: [] };
    batch.refs.push(id);
    groups.set(key, batch);
  }
  return { batches: [...groups.values()], unchanged };
}

/** A profile that a machine has keeps its place. */
function changedProfiles(profiles: readonly string[], { profile, profileMode }: ActionInput): string[] {
  if (profileMode === "remove") {
    return profiles.filter((name) => name !== profile);
  }
  if (profiles.includes(profile)) {
    return [...profiles];
  }
  return profileMode === "first" ? [profile, ...profiles] : [...profiles, profile];
}
