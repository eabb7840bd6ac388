// What a bulk call answered, summed up over its chunks: how many would be done, what is erased, and the
// refusals in groups by their reason.

import type { ProblemEntry } from "../row";

export interface BulkItem {
  ref: string;
  name?: string;
  outcome: "done" | "refused" | "not_tried";
  state?: string;
  erases?: string;
  status?: number;
  code?: string;
  detail?: string;
  problems?: ProblemEntry[];
}

export interface BulkReport {
  dry_run: boolean;
  total: number;
  done: number;
  refused: number;
  not_tried: number;
  items: BulkItem[];
}

export interface RefusalGroup {
  code: string;
  /** The reason, without the machine's own name. */
  reason: string;
  items: BulkItem[];
}

export interface BulkSummary {
  total: number;
  done: BulkItem[];
  refused: number;
  notTried: BulkItem[];
  /** Those whose next boot would erase something. */
  erasing: BulkItem[];
  refusals: RefusalGroup[];
}

/** The refusals that an operator may accept, as the server's check before a run names them. */
const ACCEPTABLE_FAULTS: ReadonlySet<string> = new Set([
  "template",
  "missing_file",
  "bad_document",
  "no_login",
  "no_package_source",
  "bad_ssh_key",
  "bad_password_hash",
  "unknown_time_zone",
  "unknown_locale",
  "unknown_keyboard",
  "unusable_address",
  "unreachable_gateway",
]);

/** Sums up the results of all chunks. A machine that was sent twice counts with its last result. */
export function summarize(items: readonly BulkItem[]): BulkSummary {
  const last = [...new Map(items.map((item) => [item.ref, item])).values()];
  const refused = last.filter((item) => item.outcome === "refused");
  const done = last.filter((item) => item.outcome === "done");
  return {
    total: last.length,
    done,
    refused: refused.length,
    notTried: last.filter((item) => item.outcome === "not_tried"),
    erasing: done.filter((item) => (item.erases ?? "") !== ""),
    refusals: groupRefusals(refused),
  };
}

function groupRefusals(refused: readonly BulkItem[]): RefusalGroup[] {
  const groups = new Map<string, RefusalGroup>();
  for (const item of refused) {
    const reason = reasonOf(item);
    const code = item.code ?? String(item.status ?? "");
    const key = `${code} ${reason}`;
    const group = groups.get(key) ?? { code, reason, items: [] };
    group.items.push(item);
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.items.length - a.items.length);
}

/** The reason of a refusal as it reads for any machine: what names this one stands as `…`. */
export function reasonOf(item: BulkItem): string {
  const [first] = item.problems ?? [];
  const text = first === undefined ? (item.detail ?? "refused") : `${first.message}`;
  const own = [item.name, item.ref].filter((word): word is string => word !== undefined && word.length > 1);
  return own.reduce((reason, word) => replaceWord(reason, word), text);
}

function replaceWord(text: string, word: string): string {
  const escaped = word.replaceAll(/[.*+?^${}()|[\]\\]/gu, String.raw`\$&`);
  return text.replaceAll(new RegExp(`(?<![\\w-])${escaped}(?![\\w-])`, "gu"), "…");
}

/** The codes of faults for which machines are refused and that can be accepted, with how many machines. */
export function acceptableFaults(summary: BulkSummary): [code: string, machines: number][] {
  const counts = new Map<string, number>();
  for (const item of summary.refusals.flatMap((group) => group.items)) {
    const codes = new Set((item.problems ?? []).map((problem) => problem.code ?? ""));
    for (const code of codes) {
      if (ACCEPTABLE_FAULTS.has(code)) {
        counts.set(code, (counts.get(code) ?? 0) + 1);
      }
    }
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** The things that are erased, in words, with how many machines each. */
export function erasedThings(summary: BulkSummary): [what: string, machines: number][] {
  const counts = new Map<string, number>();
  for (const { erases = "" } of summary.erasing) {
    counts.set(erases, (counts.get(erases) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}
