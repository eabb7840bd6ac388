// The steps of a run as rows: how long each took or has taken, against what is usual, with its jobs.
import type { Run, RunJob, RunStep } from "../../api/schema";
import type { Usual, WorkflowUsual } from "../machine/timeline/usual";
import { isSlow, millisBetween, stepKey } from "../machine/timeline/usual";

export interface StepRow {
  index: number;
  step: RunStep;
  /** Milliseconds; of a step under way until now. */
  spent: number | null;
  usual: Usual | null;
  slow: boolean;
  jobs: RunJob[];
}

export function stepRows(run: Run, usual: WorkflowUsual | null, now: number): StepRow[] {
  return (run.steps ?? []).map((step, index) => {
    const found = usual?.steps.get(stepKey(step)) ?? null;
    const spent = spentOn(step, now);
    const jobs = (run.jobs ?? []).filter((job) => job.step === index);
    return { index, step, spent, usual: found, slow: isSlow(spent, found), jobs };
  });
}

function spentOn(step: RunStep, now: number): number | null {
  if (step.ended_at) return millisBetween(step.started_at, step.ended_at);
  return step.started_at && step.state === "running" ? now - Date.parse(step.started_at) : null;
}

/** The longest time of any row, which the bars are drawn against. */
export function longest(rows: StepRow[]): number {
  return Math.max(1, ...rows.map((row) => Math.max(row.spent ?? 0, row.usual?.most ?? 0)));
}

const EXITS: Record<number, string> = {
  0: "ended well",
  16: "ended well, and asked to pause the run",
  32: "ended well, and asked to power off",
  64: "ended well, and asked to reboot",
  128: "not complete: asked to be run again",
  144: "not complete: asked to pause, then run again",
  160: "not complete: asked to power off, then run again",
  192: "not complete: asked to reboot, then run again",
};

/** What an exit code of a task's script means to the server. */
export function exitText(exit: number | null | undefined): string {
  if (exit === null || exit === undefined) return "";
  const known = EXITS[exit];
  if (known) return `exit ${exit}: ${known}`;
  const shell: Record<number, string> = {
    126: "the script could not be executed",
    127: "a command was not found",
    137: "killed (SIGKILL)",
    143: "ended by SIGTERM",
  };
  return `exit ${exit}: ${shell[exit] ?? "failed"}`;
}

export const isOpenJob = (job: { state: string }): boolean =>
  job.state === "created" || job.state === "running";
