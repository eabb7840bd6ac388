// Failures that are alike: jobs of one task whose logs end with the same lines, but for what is a machine's
// own.

/** Lines at the end of a log that tell failures apart. */
const LINES_KEPT = 4;
/** Bytes at the end of a log that are read for it. */
export const TAIL_BYTES = 4096;

// CSI sequences of ECMA-48 and the shorter escapes.
const ESCAPES = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])/g;

export function withoutEscapes(text: string): string {
  return text.replace(ESCAPES, "");
}

/** The last lines that are not empty. A line that a carriage return overwrote counts as it was at the end. */
export function lastLines(log: string, count = LINES_KEPT): string[] {
  const lines = withoutEscapes(log)
    .split("\n")
    .map((line) => line.replace(/\r$/, "").split("\r").at(-1)?.trimEnd() ?? "");
  return lines.filter((line) => line.trim() !== "").slice(-count);
}

/** What is a machine's or a moment's own becomes a sign, so that the same failure has the same text. */
export function signatureOf(log: string, own: string[] = []): string {
  let text = lastLines(log).join("\n");
  for (const word of own.filter((one) => one.length > 1)) text = text.replaceAll(word, "<own>");
  return text
    .replace(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/gi, "<id>")
    .replace(/\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/gi, "<mac>")
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g, "<address>")
    .replace(/\b[0-9a-f]{12,}\b/gi, "<hex>")
    .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?/g, "<time>")
    .replace(/\d+/g, "<n>");
}

export interface FailedJob {
  id: string;
  machine: string;
  run: string;
  task: string;
  exit?: number | null;
  reason?: string;
  ended_at?: string | null;
  log: string;
}

export interface FailureGroup {
  task: string;
  exit: number | null;
  lines: string[];
  jobs: FailedJob[];
}

/** `namesOf` has the words that are a job's machine's own: its name, its addresses. */
export function groupFailures(jobs: FailedJob[], namesOf: (job: FailedJob) => string[]): FailureGroup[] {
  const groups = new Map<string, FailureGroup>();
  for (const job of jobs) {
    const exit = job.exit ?? null;
    const ending = job.log ? signatureOf(job.log, namesOf(job)) : (job.reason ?? "");
    const key = `${job.task}\u0000${exit}\u0000${ending}`;
    const group = groups.get(key);
    if (group) group.jobs.push(job);
    else groups.set(key, { task: job.task, exit, lines: lastLines(job.log), jobs: [job] });
  }
  return [...groups.values()].sort((one, other) => other.jobs.length - one.jobs.length);
}
