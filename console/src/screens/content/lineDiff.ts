/** Differences of two texts, line by line. */

/** A run of lines that both texts have, or one of them. */
export interface LineRun {
  kind: "same" | "removed" | "added";
  lines: string[];
}

/** Most cells of the table of common lines: beyond it the changed middle counts as one change. */
const CELLS_MAX = 4_000_000;

export function splitLines(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** The runs of lines that lead from one text to the other. */
export function diffLines(before: string[], after: string[]): LineRun[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  const most = Math.min(before.length, after.length) - start;
  while (end < most && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  const middle = diffMiddle(
    before.slice(start, before.length - end),
    after.slice(start, after.length - end),
  );
  return joinRuns([
    { kind: "same", lines: before.slice(0, start) },
    ...middle,
    { kind: "same", lines: before.slice(before.length - end) },
  ]);
}

function diffMiddle(before: string[], after: string[]): LineRun[] {
  if ((before.length + 1) * (after.length + 1) > CELLS_MAX) {
    return [
      { kind: "removed", lines: before },
      { kind: "added", lines: after },
    ];
  }
  const width = after.length + 1;
  const common = commonLengths(before, after);
  const runs: LineRun[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const down = common[(i + 1) * width + j] ?? 0;
    const right = common[i * width + j + 1] ?? 0;
    if (i < before.length && j < after.length && before[i] === after[j]) {
      runs.push({ kind: "same", lines: [before[i] ?? ""] });
      [i, j] = [i + 1, j + 1];
    } else if (j >= after.length || (i < before.length && down >= right)) {
      runs.push({ kind: "removed", lines: [before[i] ?? ""] });
      i += 1;
    } else {
      runs.push({ kind: "added", lines: [after[j] ?? ""] });
      j += 1;
    }
  }
  return runs;
}

/** For each pair of rests, how many lines they have in common. */
function commonLengths(before: string[], after: string[]): Uint32Array {
  const width = after.length + 1;
  const table = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      const same = before[i] === after[j];
      const [down, right] = [table[(i + 1) * width + j] ?? 0, table[i * width + j + 1] ?? 0];
      table[i * width + j] = same ? (table[(i + 1) * width + j + 1] ?? 0) + 1 : Math.max(down, right);
    }
  }
  return table;
}

/** Neighbouring runs of one kind as one, without empty ones. */
function joinRuns(runs: LineRun[]): LineRun[] {
  const joined: LineRun[] = [];
  for (const run of runs) {
    if (run.lines.length === 0) continue;
    const last = joined.at(-1);
    if (last?.kind === run.kind) last.lines.push(...run.lines);
    else joined.push({ kind: run.kind, lines: [...run.lines] });
  }
  return joined;
}

const CONTEXT_LINES = 3;

/** The difference in the unified format; empty if there is none. */
export function unifiedDiff(name: string, before: string, after: string): string {
  if (before === after) return "";
  const rows = numberedRows(diffLines(splitLines(before), splitLines(after)));
  const hunks = hunksOf(rows);
  if (hunks.length === 0) return "";
  return [`--- a/${name}`, `+++ b/${name}`, ...hunks.flatMap((hunk) => hunkLines(hunk))].join("\n") + "\n";
}

interface DiffRow {
  sign: " " | "-" | "+";
  text: string;
  before: number;
  after: number;
}

function numberedRows(runs: LineRun[]): DiffRow[] {
  const rows: DiffRow[] = [];
  let [before, after] = [1, 1];
  for (const run of runs) {
    for (const text of run.lines) {
      const sign = run.kind === "same" ? " " : run.kind === "removed" ? "-" : "+";
      rows.push({ sign, text, before, after });
      if (sign !== "+") before += 1;
      if (sign !== "-") after += 1;
    }
  }
  return rows;
}

function hunksOf(rows: DiffRow[]): DiffRow[][] {
  const near = new Set<number>();
  rows.forEach((row, i) => {
    if (row.sign === " ") return;
    for (let at = i - CONTEXT_LINES; at <= i + CONTEXT_LINES; at += 1) near.add(at);
  });
  const hunks: DiffRow[][] = [];
  let open: DiffRow[] | null = null;
  rows.forEach((row, i) => {
    if (!near.has(i)) {
      open = null;
      return;
    }
    if (open === null) {
      open = [];
      hunks.push(open);
    }
    open.push(row);
  });
  return hunks;
}

function hunkLines(hunk: DiffRow[]): string[] {
  const first = hunk[0];
  const counted = (sign: "-" | "+") => hunk.filter((row) => row.sign === " " || row.sign === sign).length;
  const head = `@@ -${first?.before ?? 0},${counted("-")} +${first?.after ?? 0},${counted("+")} @@`;
  return [head, ...hunk.map((row) => row.sign + row.text)];
}
