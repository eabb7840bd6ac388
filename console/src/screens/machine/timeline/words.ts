// Lengths of time and numbers of bytes in words, for drawings and sentences.

export function spanText(ms: number): string {
  if (ms < 1) return "0 ms";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_500) return `${trim(ms / 1_000)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return pair([Math.floor(seconds / 60), "min"], [seconds % 60, "s"]);
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return pair([Math.floor(minutes / 60), "h"], [minutes % 60, "min"]);
  const hours = Math.round(minutes / 60);
  return pair([Math.floor(hours / 24), "d"], [hours % 24, "h"]);
}

function trim(value: number): string {
  return value < 10 ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value));
}

function pair(big: [number, string], small: [number, string]): string {
  return small[0] > 0 ? `${big.join(" ")} ${small.join(" ")}` : big.join(" ");
}

export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : trim(value)} ${units[unit] ?? "B"}`;
}

export function rateText(bytes: number, ms: number): string {
  return ms > 0 ? `${bytesText((bytes / ms) * 1_000)}/s` : "";
}

const EXPECTED: Record<string, string> = {
  "boot.attempt_started": "the machine is powered on and boots from the network",
  "boot.script_fetched": "the boot script is fetched",
  "boot.kernel_fetched": "the kernel is fetched",
  "boot.answer_fetched": "the installer fetches its answers",
  "boot.done": "the installer reports that it is done",
  "boot.attempt_ended": "the boot ends",
  "run.retried": "somebody retries the step, or cancels the run",
  "run.resumed": "somebody resumes the run, or cancels it",
  "machine.armed": "somebody arms the machine, or cancels the run",
  "job.created": "the agent asks for work",
  "job.started": "the agent begins the job",
  "job.finished": "the job ends",
};

/** An expected kind of event in words. */
export function expectedText(kind: string): string {
  return EXPECTED[kind] ?? kind;
}
