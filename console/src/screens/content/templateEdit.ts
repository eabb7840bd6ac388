/** What is edited of a template: its whole text, or one block of it by an override. */

import { templateBlocks, withBlock } from "../../ui/editor/blocks";
import type { NamedProblem } from "../../ui/editor/problems";
import { placeTemplateProblems } from "../../ui/editor/problems";
import type { EditorProblem } from "../../ui/editor/types";

export type EditTarget = { kind: "body" } | { kind: "block"; block: string };

export interface EditedTemplate {
  name: string;
  /** The text that is in force. */
  body: string;
  target: EditTarget;
  /** What is typed: the whole text, or that of the block. */
  draft: string;
  /** What the pack has in the block; undefined where the text in force has it. */
  packBlock?: string | undefined;
}

/** The whole text with what is typed. */
export function wholeBody(edited: EditedTemplate): string {
  if (edited.target.kind === "body") return edited.draft;
  return withBlock(edited.body, edited.target.block, edited.draft, edited.packBlock) ?? edited.body;
}

/** How many lines of the whole text stand before the first line of the draft. */
function linesBefore(edited: EditedTemplate): number {
  const { target } = edited;
  if (target.kind === "body") return 0;
  const block = templateBlocks(edited.body).find((known) => known.name === target.block);
  return block ? edited.body.slice(0, block.from).split("\n").length - 1 : 0;
}

/** The line of the whole text for a line of the draft. */
export function wholeLine(edited: EditedTemplate, line: number): number {
  return line + linesBefore(edited);
}

/** The line of the draft for one of the whole text; null if it lies outside of the draft. */
export function draftLine(edited: EditedTemplate, line: number): number | null {
  const own = line - linesBefore(edited);
  return own >= 1 && own <= edited.draft.split("\n").length ? own : null;
}

/** Problems of the whole text at their places in the draft. Columns of a block's first line are not told. */
export function draftProblems(edited: EditedTemplate, problems: readonly NamedProblem[]): EditorProblem[] {
  const placed = placeTemplateProblems(edited.name, problems);
  if (edited.target.kind === "body") return placed;
  return placed.map((problem) => {
    const line = draftLine(edited, problem.line);
    if (line === null) {
      return { line: 1, message: `${edited.name}:${problem.line}: ${problem.message}`, severity: "error" };
    }
    const { column, ...rest } = problem;
    return { ...rest, line, ...(column !== undefined && line > 1 ? { column } : {}) };
  });
}

/** A name for an override of a block. */
export function overrideName(template: string, block: string): string {
  return `site-${template}-${block}`.replaceAll(/[^A-Za-z0-9._-]+/g, "-").slice(0, 128);
}
