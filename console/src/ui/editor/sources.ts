/** Completions, hover texts and problems, as CodeMirror wants them. Part of the editor's chunk. */

import {
  autocompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
} from "@codemirror/autocomplete";
import { setDiagnostics, type Diagnostic } from "@codemirror/lint";
import type { EditorState, Extension, Text, TransactionSpec } from "@codemirror/state";
import { EditorView, hoverTooltip, type Tooltip } from "@codemirror/view";

import { unitsOfCharacters } from "./columns";
import type {
  CompletionKind,
  CompletionSource,
  EditorCompletion,
  EditorProblem,
  HoverSource,
} from "./types";

const TYPES: Record<CompletionKind, string> = {
  param: "constant",
  function: "function",
  filter: "method",
  variable: "variable",
  block: "class",
  template: "text",
  keyword: "keyword",
  property: "property",
  test: "enum",
};

function completionOf(item: EditorCompletion): Completion {
  const completion: Completion = { label: item.label, type: TYPES[item.kind ?? "variable"] };
  if (item.detail) completion.detail = item.detail;
  if (item.info) completion.info = item.info;
  if (item.apply) completion.apply = item.apply;
  return completion;
}

/** Completions of the host; `current` is asked each time. */
export function completionExtension(current: () => CompletionSource | undefined): Extension {
  const complete = async (context: CompletionContext): Promise<CompletionResult | null> => {
    const source = current();
    if (!source) return null;
    const line = context.state.doc.lineAt(context.pos);
    const answer = await source({
      text: context.state.doc.toString(),
      offset: context.pos,
      line: line.text,
      before: line.text.slice(0, context.pos - line.from),
      explicit: context.explicit,
    });
    if (!answer || answer.items.length === 0) return null;
    return { from: answer.from, options: answer.items.map(completionOf), validFor: /^[\w.@/-]*$/ };
  };
  return autocompletion({ override: [complete], icons: false });
}

const WORD = /[\w.@/-]/;

function wordAt(state: EditorState, at: number): { from: number; to: number } {
  const line = state.doc.lineAt(at);
  let [from, to] = [at - line.from, at - line.from];
  while (from > 0 && WORD.test(line.text[from - 1] ?? "")) from -= 1;
  while (to < line.text.length && WORD.test(line.text[to] ?? "")) to += 1;
  return { from: line.from + from, to: line.from + to };
}

function hoverBox(paragraphs: string[]): HTMLElement {
  const box = document.createElement("div");
  box.className = "cm-hover";
  for (const text of paragraphs) {
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    box.append(paragraph);
  }
  return box;
}

/** Texts under the pointer. */
export function hoverExtension(current: () => HoverSource | undefined): Extension {
  return hoverTooltip(async (view, at): Promise<Tooltip | null> => {
    const { from, to } = wordAt(view.state, at);
    const line = view.state.doc.lineAt(at);
    const word = view.state.sliceDoc(from, to);
    const texts = await current()?.({ line: line.number, word, from, to });
    if (!texts || texts.length === 0) return null;
    return { pos: line.from, end: line.to, above: true, create: () => ({ dom: hoverBox(texts) }) };
  });
}

/** The offset of a place; a place behind the text is its end. */
export function offsetIn(doc: Text, place: { line: number; column?: number }): number {
  if (place.line > doc.lines) return doc.length;
  const line = doc.line(Math.max(1, place.line));
  return line.from + unitsOfCharacters(line.text, place.column ?? 1);
}

function diagnosticOf(doc: Text, problem: EditorProblem): Diagnostic {
  const line = doc.line(Math.min(Math.max(1, problem.line), doc.lines));
  const start = problem.line > doc.lines ? line.to : offsetIn(doc, problem);
  const word = problem.column ? (/^[\w.]+/.exec(line.text.slice(start - line.from))?.[0].length ?? 1) : 0;
  const first = problem.column ? start : line.from + line.text.length - line.text.trimStart().length;
  const to = problem.column ? Math.min(line.to, start + word) : line.to;
  return {
    from: Math.min(first, to),
    to: Math.max(first, to),
    severity: problem.severity ?? "error",
    message: problem.message,
  };
}

/** A transaction that shows these problems and no others. */
export function problemsShown(state: EditorState, problems: readonly EditorProblem[]): TransactionSpec {
  const diagnostics = problems.map((problem) => diagnosticOf(state.doc, problem));
  return setDiagnostics(
    state,
    diagnostics.sort((a, b) => a.from - b.from),
  );
}

/** Tells the host of changes of the text and of the cursor's line. */
export function listener(tell: {
  change: (value: string) => void;
  cursor: (line: number) => void;
  pick: (line: number) => void;
}): Extension {
  return EditorView.updateListener.of((update) => {
    if (update.docChanged) tell.change(update.state.doc.toString());
    if (!update.selectionSet && !update.docChanged) return;
    const line = update.state.doc.lineAt(update.state.selection.main.head).number;
    tell.cursor(line);
    if (update.transactions.some((one) => one.isUserEvent("select"))) tell.pick(line);
  });
}
