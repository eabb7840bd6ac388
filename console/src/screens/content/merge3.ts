/** A merge of two texts that were made of the same third one. */

import { diffLines, splitLines } from "./lineDiff";

/** A part of the merged text. In a conflict both changed the same lines in different ways. */
export type MergePart =
  | { kind: "settled"; lines: string[] }
  | { kind: "conflict"; base: string[]; mine: string[]; theirs: string[] };

interface Edit {
  from: number;
  to: number;
  lines: string[];
}

/** What has to be done to lines of `base` to get the other text. */
function editsOf(base: string[], changed: string[]): Edit[] {
  const edits: Edit[] = [];
  let at = 0;
  let open: Edit | null = null;
  for (const run of diffLines(base, changed)) {
    if (run.kind === "same") {
      at += run.lines.length;
      open = null;
      continue;
    }
    if (open === null) {
      open = { from: at, to: at, lines: [] };
      edits.push(open);
    }
    if (run.kind === "added") open.lines.push(...run.lines);
    else {
      at += run.lines.length;
      open.to = at;
    }
  }
  return edits;
}

/** The lines of a stretch of `base` after the edits that lie in it. */
function applied(base: string[], edits: Edit[], from: number, to: number): string[] {
  const lines: string[] = [];
  let at = from;
  for (const edit of edits) {
    lines.push(...base.slice(at, edit.from), ...edit.lines);
    at = edit.to;
  }
  return [...lines, ...base.slice(at, to)];
}

function sameLines(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((line, i) => line === b[i]);
}

/** Merges by lines. */
export function mergeTexts(base: string, mine: string, theirs: string): MergePart[] {
  const lines = splitLines(base);
  const [own, other] = [editsOf(lines, splitLines(mine)), editsOf(lines, splitLines(theirs))];
  const parts: MergePart[] = [];
  let [at, i, j] = [0, 0, 0];
  while (i < own.length || j < other.length) {
    const from = Math.min(own[i]?.from ?? Infinity, other[j]?.from ?? Infinity);
    let to = from;
    const [first, second] = [i, j];
    for (let grew = true; grew;) {
      grew = false;
      for (const side of ["own", "other"] as const) {
        const edit = side === "own" ? own[i] : other[j];
        if (!edit || edit.from > to || (edit.from === to && to !== from && edit.to !== edit.from)) continue;
        if (side === "own") i += 1;
        else j += 1;
        to = Math.max(to, edit.to);
        grew = true;
      }
    }
    settle(parts, lines.slice(at, from));
    const [left, right] = [own.slice(first, i), other.slice(second, j)];
    const [m, t] = [applied(lines, left, from, to), applied(lines, right, from, to)];
    if (left.length === 0 || sameLines(m, t)) settle(parts, t);
    else if (right.length === 0) settle(parts, m);
    else parts.push({ kind: "conflict", base: lines.slice(from, to), mine: m, theirs: t });
    at = to;
  }
  settle(parts, lines.slice(at));
  return parts;
}

function settle(parts: MergePart[], lines: string[]): void {
  const last = parts.at(-1);
  if (lines.length === 0) return;
  if (last?.kind === "settled") last.lines.push(...lines);
  else parts.push({ kind: "settled", lines: [...lines] });
}

/** The merged text; conflicts stand between the marks of git. */
export function mergedText(parts: MergePart[]): string {
  const lines = parts.flatMap((part) =>
    part.kind === "settled"
      ? part.lines
      : ["<<<<<<< yours", ...part.mine, "=======", ...part.theirs, ">>>>>>> saved"],
  );
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

export function conflictCount(parts: MergePart[]): number {
  return parts.filter((part) => part.kind === "conflict").length;
}

/** Whether a text still has the marks of a conflict. */
export function hasConflictMarks(text: string): boolean {
  return /^(<<<<<<<|>>>>>>>) /m.test(text);
}
