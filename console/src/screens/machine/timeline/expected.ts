// The event that a machine waits for: in words, with the time that it usually takes and when the wait fails.
import type { MachineStatus } from "../../../api/schema";
import type { Usual, WorkflowUsual } from "./usual";
import { expectedText, spanText } from "./words";

export interface ExpectedEvent {
  kind: string;
  title: string;
  reason: string;
  since: number;
  /** When it has usually happened. */
  by: number | null;
  /** When the wait has failed. */
  failsAt: number | null;
  overdue: boolean;
  /** `usually after 4 s (of 12 runs)`; empty where nothing is known. */
  usually: string;
}

export function expectedOf(
  status: MachineStatus,
  usual: WorkflowUsual | null,
  now: number,
): ExpectedEvent | null {
  const wait = status.waiting;
  if (!wait) return null;
  const since = Date.parse(wait.since);
  const found = usual ? usualOfWait(status, usual) : null;
  const by = wait.expected_by ? Date.parse(wait.expected_by) : null;
  return {
    kind: wait.expected,
    title: expectedText(wait.expected),
    reason: wait.reason,
    since,
    by,
    failsAt: wait.overdue_at ? Date.parse(wait.overdue_at) : null,
    overdue: wait.overdue === true || (by !== null && by < now),
    usually: found ? usualText(found) : "",
  };
}

export function usualText(usual: Usual): string {
  const most = usual.most > usual.median ? `, at most ${spanText(usual.most)} in nine of ten` : "";
  return `usually ${spanText(usual.median)}${most} (${usual.count} ${usual.count === 1 ? "run" : "runs"})`;
}

function usualOfWait(status: MachineStatus, usual: WorkflowUsual): Usual | null {
  const bootenv = status.bootenv ?? "";
  switch (status.waiting?.expected) {
    case "boot.kernel_fetched":
      return usual.toKernel.get(bootenv) ?? null;
    case "boot.done":
      return usual.toEnd.get(bootenv) ?? null;
    default:
      return null;
  }
}
