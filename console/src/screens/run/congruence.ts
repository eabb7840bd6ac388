// Congruence: two machines are alike only if the same steps ran in the same order with the same inputs. A run
// keeps a digest of the content and of the params of each step; here runs are compared by these.
import type { Run } from "../../api/schema";

export type ComparedRun = Pick<
  Run,
  "id" | "machine" | "machine_name" | "steps" | "artifacts" | "result" | "started_at" | "ended_at"
>;

export type DifferenceKind = "steps" | "content" | "params" | "artifact" | "skipped";

export interface Difference {
  kind: DifferenceKind;
  /** The first place where it shows: a step or an artifact. */
  where: string;
  count: number;
}

const WORDS: Record<DifferenceKind, string> = {
  steps: "has other steps",
  content: "ran other content",
  params: "has other values of params",
  artifact: "has other files of an artifact",
  skipped: "a step was passed over or failed in one of them",
};

export function differenceText(one: Difference): string {
  const more = one.count > 1 ? ` and ${one.count - 1} more` : "";
  return `${WORDS[one.kind]}: ${one.where}${more}`;
}

type Steps = NonNullable<ComparedRun["steps"]>;
const named = (step: Steps[number]) => `${step.stage}/${step.name}`;
const OVER = new Set(["skipped", "failed"]);

export function differences(here: ComparedRun, there: ComparedRun): Difference[] {
  const [mine, its] = [here.steps ?? [], there.steps ?? []];
  const other = mine.findIndex(
    (step, index) => its[index]?.kind !== step.kind || its[index]?.name !== step.name,
  );
  if (other >= 0 || mine.length !== its.length) {
    const at = other >= 0 ? mine[other] : its[mine.length];
    return [
      { kind: "steps", where: at ? named(at) : "the end", count: Math.abs(mine.length - its.length) || 1 },
    ];
  }
  const found = [
    collect("content", mine, (step, index) => step.digest !== its[index]?.digest),
    collect("params", mine, (step, index) => (step.params ?? "") !== (its[index]?.params ?? "")),
    collect(
      "skipped",
      mine,
      (step, index) => step.state !== its[index]?.state && hasOver(step.state, its[index]?.state),
    ),
    artifactDifference(here, there),
  ];
  return found.filter((one): one is Difference => one !== null);
}

function hasOver(one?: string, other?: string): boolean {
  return OVER.has(one ?? "") || OVER.has(other ?? "");
}

function collect(
  kind: DifferenceKind,
  steps: Steps,
  differs: (step: Steps[number], index: number) => boolean,
): Difference | null {
  const places = steps.filter(differs);
  const first = places[0];
  return first ? { kind, where: named(first), count: places.length } : null;
}

function artifactDifference(here: ComparedRun, there: ComparedRun): Difference | null {
  const its = new Map((there.artifacts ?? []).map((one) => [one.name, one.sha256]));
  const other = (here.artifacts ?? []).filter((one) => its.get(one.name) !== one.sha256);
  const first = other[0];
  return first ? { kind: "artifact", where: first.name, count: other.length } : null;
}

export interface CongruenceGroup {
  differences: Difference[];
  runs: ComparedRun[];
}

/** The newest run of each other machine, those that are alike together; those like this run first. */
export function congruenceOf(here: ComparedRun, others: ComparedRun[]): CongruenceGroup[] {
  const newest = new Map<string, ComparedRun>();
  for (const run of others) {
    const known = newest.get(run.machine);
    if (run.machine === here.machine) continue;
    if (!known || known.started_at < run.started_at) newest.set(run.machine, run);
  }
  const groups = new Map<string, CongruenceGroup>();
  for (const run of newest.values()) {
    const found = differences(here, run);
    const key = found.map((one) => `${one.kind} ${one.where} ${one.count}`).join("; ");
    const group = groups.get(key);
    if (group) group.runs.push(run);
    else groups.set(key, { differences: found, runs: [run] });
  }
  return [...groups.values()].sort(
    (one, other) =>
      one.differences.length - other.differences.length || other.runs.length - one.runs.length,
  );
}
