// How far an attempt came: the points that each boot from the network passes, with the time of each.
import { flagOf, textOf } from "./events";
import type { TimelineEvent } from "./events";
import type { Band } from "./attempts";

export type MilestoneName = "address" | "loader" | "script" | "kernel" | "answers" | "done";
export type MilestoneState = "passed" | "stopped" | "awaited" | "open" | "unneeded";

export interface Milestone {
  name: MilestoneName;
  title: string;
  /** Milliseconds after the attempt began; none where it was not passed. */
  after: number | null;
  state: MilestoneState;
}

const TITLES: Record<MilestoneName, string> = {
  address: "Address",
  loader: "Loader",
  script: "Script",
  kernel: "Kernel",
  answers: "System",
  done: "Done",
};

function isLoader(event: TimelineEvent): boolean {
  return textOf(event, "label").startsWith("loader:") && flagOf(event, "complete") !== false;
}

function passes(name: MilestoneName, event: TimelineEvent): boolean {
  switch (name) {
    case "address":
      return event.kind === "dhcp.leased" || event.kind === "dhcp.renewed";
    case "loader":
      return event.kind === "boot.file_served" && isLoader(event);
    case "script":
      return event.kind === "boot.script_fetched";
    case "kernel":
      return event.kind === "boot.kernel_fetched";
    case "answers":
      return event.kind === "boot.answer_fetched" || event.kind.startsWith("job.");
    case "done":
      return (
        event.kind === "boot.done" ||
        (event.kind === "boot.attempt_ended" && textOf(event, "result") === "done")
      );
  }
}

/** Whether the attempt boots the local disk, which needs no more than a script. */
export function bootsDisk(band: Band): boolean {
  const decided = band.events.findLast((event) => event.kind === "boot.decided");
  return textOf(decided, "verdict") === "local_disk";
}

export function milestonesOf(band: Band): Milestone[] {
  const names = Object.keys(TITLES) as MilestoneName[];
  const passed = names.map((name) => band.events.find((event) => passes(name, event)));
  const last = passed.findLastIndex((event) => event !== undefined);
  const over = band.endedAt !== null && band.result !== "done";
  const disk = bootsDisk(band);
  return names.map((name, index) => {
    const event = passed[index];
    const after = event ? event.at - band.start : null;
    return { name, title: TITLES[name], after, state: stateOf(after, index - last, { over, disk }) };
  });
}

/** `place` counts from the last point that was passed. */
function stateOf(
  after: number | null,
  place: number,
  boot: { over: boolean; disk: boolean },
): MilestoneState {
  if (after !== null) return "passed";
  if (place < 0 || boot.disk) return "unneeded";
  if (place > 1) return "open";
  return boot.over ? "stopped" : "awaited";
}

export function reached(band: Band): MilestoneName | null {
  return milestonesOf(band).findLast((milestone) => milestone.state === "passed")?.name ?? null;
}
