// The difference of two texts in the unified format, by lines (Myers 1986). For documents of some thousand lines;
// what would take too long is shown as one replaced block.

const EDITS_MAX = 2_000;
const CONTEXT = 3;

interface Edit {
  sign: " " | "-" | "+";
  line: string;
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

export function unifiedDiff(before: string, after: string, names: { before: string; after: string }): string {
  if (before === after) return "";
  const hunks = hunksOf(editsOf(linesOf(before), linesOf(after)));
  return [`--- ${names.before}`, `+++ ${names.after}`, ...hunks].join("\n");
}

function editsOf(before: string[], after: string[]): Edit[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  const most = Math.min(before.length, after.length) - head;
  while (tail < most && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  const middle = shortestEdits(before.slice(head, before.length - tail), after.slice(head, after.length - tail));
  const same = (lines: string[]): Edit[] => lines.map((line) => ({ sign: " ", line }));
  return [...same(before.slice(0, head)), ...middle, ...same(before.slice(before.length - tail))];
}

function replaced(before: string[], after: string[]): Edit[] {
  const removed = before.map((line): Edit => ({ sign: "-", line }));
  return [...removed, ...after.map((line): Edit => ({ sign: "+", line }))];
}

/** The furthest points of each number of edits, by diagonal. */
function shortestEdits(before: string[], after: string[]): Edit[] {
  const trace: Map<number, number>[] = [];
  const furthest = new Map<number, number>([[1, 0]]);
  const most = Math.min(before.length + after.length, EDITS_MAX);
  for (let edits = 0; edits <= most; edits += 1) {
    trace.push(new Map(furthest));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let x = nextX(furthest, diagonal, edits);
      while (x < before.length && x - diagonal < after.length && before[x] === after[x - diagonal]) x += 1;
      furthest.set(diagonal, x);
      if (x >= before.length && x - diagonal >= after.length) return walkBack(trace, before, after);
    }
  }
  return replaced(before, after);
}

function nextX(furthest: Map<number, number>, diagonal: number, edits: number): number {
  const [lower, upper] = [furthest.get(diagonal - 1) ?? -1, furthest.get(diagonal + 1) ?? -1];
  return diagonal === -edits || (diagonal !== edits && lower < upper) ? upper : lower + 1;
}

function walkBack(trace: Map<number, number>[], before: string[], after: string[]): Edit[] {
  const edits: Edit[] = [];
  let [x, y] = [before.length, after.length];
  for (let step = trace.length - 1; step >= 0; step -= 1) {
    const furthest = trace[step] ?? new Map<number, number>();
    const diagonal = x - y;
    const [lower, upper] = [furthest.get(diagonal - 1) ?? -1, furthest.get(diagonal + 1) ?? -1];
    const came = diagonal === -step || (diagonal !== step && lower < upper) ? diagonal + 1 : diagonal - 1;
    const fromX = furthest.get(came) ?? 0;
    const fromY = fromX - came;
    while (x > fromX && y > fromY && x > 0 && y > 0) {
      edits.push({ sign: " ", line: before[x - 1] ?? "" });
      x -= 1;
      y -= 1;
    }
    if (step === 0) break;
    if (x > fromX) edits.push({ sign: "-", line: before[x - 1] ?? "" });
    else edits.push({ sign: "+", line: after[y - 1] ?? "" });
    [x, y] = [fromX, fromY];
  }
  return edits.reverse();
}

/** Changed lines with some lines around them; hunks that touch are one. */
function hunksOf(edits: Edit[]): string[] {
  const near = edits.map((_, index) =>
    edits.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some((edit) => edit.sign !== " "));
  const lines: string[] = [];
  let [old, now] = [1, 1];
  let index = 0;
  while (index < edits.length) {
    if (!near[index]) {
      [old, now, index] = [old + 1, now + 1, index + 1];
      continue;
    }
    let end = index;
    while (end < edits.length && near[end]) end += 1;
    const hunk = edits.slice(index, end);
    const olds = hunk.filter((edit) => edit.sign !== "+").length;
    const news = hunk.filter((edit) => edit.sign !== "-").length;
    lines.push(`@@ -${old},${olds} +${now},${news} @@`, ...hunk.map((edit) => edit.sign + edit.line));
    [old, now, index] = [old + olds, now + news, end];
  }
  return lines;
}
