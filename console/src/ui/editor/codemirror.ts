/**
 * The editor itself: CodeMirror with what the console needs. This module is a chunk of its own; load it with
 * `import()` only.
 */

import { closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput } from "@codemirror/language";
import { lintGutter, lintKeymap } from "@codemirror/lint";
import { MergeView, unifiedMergeView } from "@codemirror/merge";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import {
  Annotation,
  Compartment,
  EditorState,
  StateEffect,
  StateField,
  type Extension,
} from "@codemirror/state";
import {
  Decoration,
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  type DecorationSet,
} from "@codemirror/view";

import { appearance } from "./appearance";
import { changeTo } from "./changes";
import { languageExtension } from "./languages";
import { completionExtension, hoverExtension, listener, offsetIn, problemsShown } from "./sources";
import type {
  EditorHandle,
  EditorLanguage,
  EditorOptions,
  MergeHandle,
  MergeOptions,
  MergeSide,
} from "./types";

/** The host set the text: it is not told of that. */
const fromHost = Annotation.define<boolean>();
const setMarks = StateEffect.define<number[]>();
const markedLine = Decoration.line({ class: "cm-markedLine" });

const marks = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(shown, transaction) {
    const effect = transaction.effects.find((one) => one.is(setMarks));
    if (!effect) return shown.map(transaction.changes);
    const doc = transaction.state.doc;
    const known = [...new Set(effect.value as number[])].filter((line) => line >= 1 && line <= doc.lines);
    return Decoration.set(known.sort((a, b) => a - b).map((line) => markedLine.range(doc.line(line).from)));
  },
  provide: (field) => EditorView.decorations.from(field),
});

function basics(): Extension {
  return [
    lineNumbers(),
    highlightActiveLineGutter(),
    highlightSpecialChars(),
    history(),
    foldGutter(),
    drawSelection(),
    EditorState.allowMultipleSelections.of(true),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    highlightSelectionMatches(),
    search({ top: true }),
    EditorView.lineWrapping,
    marks,
    keymap.of([
      ...closeBracketsKeymap,
      ...defaultKeymap,
      ...searchKeymap,
      ...historyKeymap,
      ...foldKeymap,
      ...completionKeymap,
      ...lintKeymap,
    ]),
    appearance(),
  ];
}

function readOnlyState(readOnly: boolean): Extension {
  return [EditorState.readOnly.of(readOnly), EditorView.editable.of(true)];
}

function comparison(original: string | undefined): Extension {
  if (original === undefined) return [];
  return unifiedMergeView({ original, mergeControls: false, gutter: true, allowInlineDiffs: true });
}

function saveKey(save: (() => void) | undefined): Extension {
  const run = () => {
    save?.();
    return true;
  };
  return save ? keymap.of([{ key: "Mod-s", run, preventDefault: true }]) : [];
}

/** Shows an editor in an element. Tab leaves it after Escape; without, it indents. */
export function createEditor(options: EditorOptions): EditorHandle {
  const [language, readOnly, original] = [new Compartment(), new Compartment(), new Compartment()];
  let told = true;
  const view = new EditorView({
    parent: options.parent,
    state: EditorState.create({
      doc: options.value,
      extensions: [
        saveKey(options.onSave),
        basics(),
        lintGutter(),
        keymap.of([indentWithTab]),
        language.of(languageExtension(options.language)),
        readOnly.of(readOnlyState(options.readOnly ?? false)),
        original.of(comparison(options.original)),
        completionExtension(() => options.completions),
        hoverExtension(() => options.hover),
        EditorView.contentAttributes.of({
          "aria-label": options.label,
          tabindex: "0",
          spellcheck: "false",
        }),
        listener({
          change: (value) => told && options.onChange?.(value),
          cursor: (line) => options.onCursor?.(line),
          pick: (line) => options.onPick?.(line),
        }),
      ],
    }),
  });
  if (options.problems?.length) view.dispatch(problemsShown(view.state, options.problems));
  const silently = (work: () => void) => {
    told = false;
    work();
    told = true;
  };
  return {
    value: () => view.state.doc.toString(),
    setValue: (value) =>
      silently(() =>
        view.dispatch({
          changes: changeTo(view.state.doc.toString(), value),
          annotations: fromHost.of(true),
        }),
      ),
    setProblems: (problems) => view.dispatch(problemsShown(view.state, problems)),
    setLanguage: (next) => view.dispatch({ effects: language.reconfigure(languageExtension(next)) }),
    setReadOnly: (next) => view.dispatch({ effects: readOnly.reconfigure(readOnlyState(next)) }),
    setOriginal: (text) => view.dispatch({ effects: original.reconfigure(comparison(text)) }),
    setMarkedLines: (lines) => view.dispatch({ effects: markEffects(view, lines) }),
    goTo: (line, column) => goTo(view, line, column),
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

function markEffects(view: EditorView, lines: number[]): StateEffect<unknown>[] {
  const first = lines.find((line) => line >= 1 && line <= view.state.doc.lines);
  const shown =
    first === undefined || view.hasFocus
      ? []
      : [EditorView.scrollIntoView(view.state.doc.line(first).from, { y: "nearest", yMargin: 40 })];
  return [setMarks.of(lines), ...shown];
}

function goTo(view: EditorView, line: number, column: number | undefined): void {
  const place = column === undefined ? { line } : { line, column };
  const anchor = offsetIn(view.state.doc, place);
  view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
}

function mergeSide(side: MergeSide, language: EditorLanguage): { doc: string; extensions: Extension } {
  const tell = side.onChange;
  return {
    doc: side.text,
    extensions: [
      basics(),
      languageExtension(language),
      readOnlyState(!tell),
      EditorView.contentAttributes.of({ "aria-label": side.label, tabindex: "0", spellcheck: "false" }),
      listener({ change: (value) => tell?.(value), cursor: () => undefined, pick: () => undefined }),
    ],
  };
}

/** Two texts side by side; a button takes a change of the left one over into the right one. */
export function createMerge(options: MergeOptions): MergeHandle {
  const merge = new MergeView({
    parent: options.parent,
    a: mergeSide(options.left, options.language),
    b: mergeSide(options.right, options.language),
    collapseUnchanged: { margin: 3, minSize: 6 },
    ...(options.right.onChange ? { revertControls: "a-to-b" as const } : {}),
  });
  return { value: () => merge.b.state.doc.toString(), destroy: () => merge.destroy() };
}
