// What is usual for a workflow, from its runs that ended well: the time of each step, and of each part of a
// boot.
import type { Run } from "../../../api/schema";

export interface Usual {
  /** Number of runs that it comes from. */
  count: number;
  median: number;
  /** Nine of ten took no longer. */
  most: number;
}

export interface WorkflowUsual {
  runs: number;
  total: Usual | null;
  /** By kind and name of the step. Milliseconds. */
  steps: Map<string, Usual>;
  /** From power-on to kernel and from kernel to the end, by bootenv. Milliseconds. */
  toKernel: Map<string, Usual>;
  toEnd: Map<string, Usual>;
}

export type UsualRun = Pick<Run, "id" | "steps" | "attempts" | "started_at" | "ended_at">;

export function usualOf(values: number[]): Usual | null {
  const sorted = values
    .filter((value) => Number.isFinite(value) && value >= 0)
    .sort((one, other) => one - other);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)];
  const [median, most] = [at(0.5), at(0.9)];
  return median === undefined || most === undefined ? null : { count: sorted.length, median, most };
}

export function stepKey(step: { kind: string; name: string; stage: string }): string {
  return `${step.kind} ${step.stage} ${step.name}`;
}

export function millisBetween(start?: string | null, end?: string | null): number | null {
  return start && end ? Date.parse(end) - Date.parse(start) : null;
}

class Samples {
  private readonly values = new Map<string, number[]>();

  add(key: string, value: number | null): void {
    if (value === null) return;
    const known = this.values.get(key);
    if (known) known.push(value);
    else this.values.set(key, [value]);
  }

  usual(): Map<string, Usual> {
    const found = new Map<string, Usual>();
    for (const [key, values] of this.values) {
      const usual = usualOf(values);
      if (usual) found.set(key, usual);
    }
    return found;
  }
}

export function usualOfRuns(runs: UsualRun[]): WorkflowUsual {
  const [steps, toKernel, toEnd] = [new Samples(), new Samples(), new Samples()];
  for (const run of runs) {
    for (const step of run.steps ?? []) {
      if (step.state === "done") steps.add(stepKey(step), millisBetween(step.started_at, step.ended_at));
    }
    for (const attempt of run.attempts ?? []) {
      if (!attempt.bootenv || attempt.result !== "done") continue;
      toKernel.add(attempt.bootenv, millisBetween(attempt.started_at, attempt.kernel_fetched_at));
      toEnd.add(attempt.bootenv, millisBetween(attempt.kernel_fetched_at, attempt.ended_at));
    }
  }
  const totals = runs.map((run) => millisBetween(run.started_at, run.ended_at) ?? Number.NaN);
  return {
    runs: runs.length,
    total: usualOf(totals),
    steps: steps.usual(),
    toKernel: toKernel.usual(),
    toEnd: toEnd.usual(),
  };
}

/** From this multiple of the most usual time on, and this much longer, something is slow. */
const SLOW_FACTOR = 1.5;
const SLOW_MS_MIN = 10_000;

export function isSlow(spent: number | null, usual: Usual | null | undefined): boolean {
  if (spent === null || !usual) return false;
  return spent > usual.most * SLOW_FACTOR && spent - usual.most > SLOW_MS_MIN;
}
