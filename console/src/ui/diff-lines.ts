// The difference of two texts by lines (Myers' algorithm, bounded); pure.

export interface DiffLine {
  kind: "same" | "removed" | "added";
  text: string;
  /** Line numbers from 1; absent on the side that has no such line. */
  before?: number;
  after?: number;
}

/** Beyond so many differing lines the middle is shown as replaced. */
const EDITS_MAX = 600;

export function diffLines(before: string, after: string): DiffLine[] {
  const [a, b] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA -= 1;
    endB -= 1;
  }
  const kinds: Array<DiffLine["kind"]> = [
    ...Array<"same">(start).fill("same"),
    ...middle(a.slice(start, endA), b.slice(start, endB)),
    ...Array<"same">(a.length - endA).fill("same"),
  ];
  return number(kinds, a, b);
}

function linesOf(text: string): string[] {
  if (text === "") return [];
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
}

function number(
  kinds: ReadonlyArray<DiffLine["kind"]>,
  a: readonly string[],
  b: readonly string[],
): DiffLine[] {
  let [at, to] = [0, 0];
  return kinds.map((kind) => {
    const line: DiffLine = { kind, text: (kind === "added" ? b[to] : a[at]) ?? "" };
    if (kind !== "added") line.before = ++at;
    if (kind !== "removed") line.after = ++to;
    return line;
  });
}

const replaced = (a: readonly string[], b: readonly string[]): Array<DiffLine["kind"]> => [
  ...a.map(() => "removed" as const),
  ...b.map(() => "added" as const),
];

function middle(a: readonly string[], b: readonly string[]): Array<DiffLine["kind"]> {
  if (a.length === 0 || b.length === 0) return replaced(a, b);
  const trace = search(a, b);
  return trace ? walkBack(trace, a.length, b.length) : replaced(a, b);
}

/** The furthest points for each number of edits. */
function search(a: readonly string[], b: readonly string[]): Array<Map<number, number>> | undefined {
  const reach = new Map<number, number>([[1, 0]]);
  const trace: Array<Map<number, number>> = [];
  const most = Math.min(a.length + b.length, EDITS_MAX);
  for (let edits = 0; edits <= most; edits += 1) {
    trace.push(new Map(reach));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const isDown =
        diagonal === -edits ||
        (diagonal !== edits && (reach.get(diagonal - 1) ?? 0) < (reach.get(diagonal + 1) ?? 0));
      let x = isDown ? (reach.get(diagonal + 1) ?? 0) : (reach.get(diagonal - 1) ?? 0) + 1;
      while (x < a.length && x - diagonal < b.length && a[x] === b[x - diagonal]) x += 1;
      reach.set(diagonal, x);
      if (x >= a.length && x - diagonal >= b.length) return trace;
    }
  }
  return undefined;
}

function walkBack(
  trace: ReadonlyArray<Map<number, number>>,
  width: number,
  height: number,
): Array<DiffLine["kind"]> {
  const kinds: Array<DiffLine["kind"]> = [];
  let [x, y] = [width, height];
  for (let edits = trace.length - 1; edits >= 0; edits -= 1) {
    const reach = trace[edits] ?? new Map<number, number>();
    const diagonal = x - y;
    const isDown =
      diagonal === -edits ||
      (diagonal !== edits && (reach.get(diagonal - 1) ?? 0) < (reach.get(diagonal + 1) ?? 0));
    const from = isDown ? diagonal + 1 : diagonal - 1;
    const fromX = edits === 0 ? 0 : (reach.get(from) ?? 0);
    const fromY = edits === 0 ? 0 : fromX - from;
    while (x > fromX && y > fromY) {
      kinds.push("same");
      x -= 1;
      y -= 1;
    }
    if (edits > 0) kinds.push(isDown ? "added" : "removed");
    [x, y] = [fromX, fromY];
  }
  return kinds.reverse();
}

/** A unified diff (`diff -u`, as the API has some) as lines. */
export function parseUnified(text: string): Array<DiffLine | { kind: "hunk"; text: string }> {
  let [before, after] = [1, 1];
  return linesOf(text).flatMap((line): Array<DiffLine | { kind: "hunk"; text: string }> => {
    if (/^(---|\+\+\+) /.test(line)) return [];
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)/.exec(line);
    if (hunk) {
      [before, after] = [Number(hunk[1]), Number(hunk[2])];
      return [{ kind: "hunk", text: line }];
    }
    const rest = line.slice(1);
    if (line.startsWith("-")) return [{ kind: "removed", text: rest, before: before++ }];
    if (line.startsWith("+")) return [{ kind: "added", text: rest, after: after++ }];
    return [{ kind: "same", text: rest, before: before++, after: after++ }];
  });
}

export interface DiffGap {
  kind: "gap";
  count: number;
  /** Where the left out lines begin in the whole. */
  from: number;
}

/** Leaves out equal lines that are further than `context` from a change. */
export function foldSame<T extends { kind: string }>(
  lines: readonly T[],
  context: number,
): Array<T | DiffGap> {
  const near = new Uint8Array(lines.length);
  lines.forEach((line, index) => {
    if (line.kind === "same") return;
    near.fill(1, Math.max(0, index - context), index + context + 1);
  });
  const folded: Array<T | DiffGap> = [];
  lines.forEach((line, index) => {
    const last = folded.at(-1);
    if (near[index]) folded.push(line);
    else if (last && "count" in last && last.kind === "gap") last.count += 1;
    else folded.push({ kind: "gap", count: 1, from: index });
  });
  return folded;
}
