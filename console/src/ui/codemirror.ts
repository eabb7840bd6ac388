// The editor, by CodeMirror 6; its own chunk. Only code-editor.tsx loads it.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type Completion, type CompletionContext }
  from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, indentUnit, StreamLanguage, syntaxHighlighting,
} from "@codemirror/language";
import { jinja2 } from "@codemirror/legacy-modes/mode/jinja2";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, hoverTooltip, keymap, lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { fromUnits, toUnits, wordAt } from "./editor-places";
import type { EditorHandle, EditorLanguage, EditorOptions, EditorPlace, EditorProblem } from "./editor-types";

const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--busy)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--ok)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--warn)" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.attributeName], color: "var(--info)" },
  { tag: [tags.variableName, tags.definition(tags.variableName)], color: "var(--accent)" },
  { tag: [tags.comment, tags.meta], color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.invalid, color: "var(--bad)" },
]);

const THEME = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "0.9rem", height: "100%" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--surface-2)", color: "var(--muted)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 9%, transparent)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--accent-soft) !important" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)", maxWidth: "min(520px, 90vw)" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--accent-text)" },
  ".cm-panels": { backgroundColor: "var(--surface-2)", color: "var(--text)" },
  ".cm-hover-text": { padding: "6px 10px", whiteSpace: "pre-wrap", overflowWrap: "anywhere" },
  ".cm-searchMatch": { backgroundColor: "var(--warn-soft)" },
});

function languageOf(language: EditorLanguage): Extension {
  switch (language) {
    case "yaml": return yaml();
    case "json": return json();
    case "jinja": return StreamLanguage.define(jinja2);
    case "shell": return StreamLanguage.define(shell);
    default: return [];
  }
}

function placeAt(state: EditorState, position: number): EditorPlace {
  const line = state.doc.lineAt(position);
  const unit = position - line.from;
  return {
    line: line.number,
    column: fromUnits(line.text, unit),
    word: wordAt(line.text, unit),
    before: line.text.slice(0, unit),
    text: state.doc.toString(),
  };
}

async function completions(context: CompletionContext, options: EditorOptions) {
  const word = context.matchBefore(/[\w.-]*/);
  if (!word || (word.from === word.to && !context.explicit)) return null;
  const found = await options.complete(placeAt(context.state, context.pos));
  if (found.length === 0) return null;
  const shown = found.map((one): Completion => ({
    label: one.label, type: one.kind ?? "text", apply: one.insert ?? one.label,
    ...(one.detail ? { detail: one.detail } : {}), ...(one.about ? { info: one.about } : {}),
  }));
  return { from: word.from, options: shown, validFor: /^[\w.-]*$/ };
}

function hovers(options: EditorOptions): Extension {
  return hoverTooltip(async (view, position) => {
    const text = await options.hover(placeAt(view.state, position));
    if (!text) return null;
    return {
      pos: position,
      create: () => {
        const dom = document.createElement("div");
        dom.className = "cm-hover-text";
        dom.textContent = text;
        return { dom };
      },
    };
  });
}

function diagnosticsOf(state: EditorState, problems: readonly EditorProblem[]): Diagnostic[] {
  return problems.map((problem) => {
    const line = state.doc.line(Math.max(1, Math.min(problem.line, state.doc.lines)));
    const unit = problem.column ? toUnits(line.text, problem.column) : 0;
    const from = Math.min(line.from + unit, line.to);
    const word = /^[\w.-]+/.exec(line.text.slice(unit))?.[0].length ?? 1;
    const to = problem.column ? Math.min(line.to, from + word) : line.to;
    return { from, to: Math.max(from, to), severity: problem.severity ?? "error", message: problem.message };
  });
}

function behaviour(options: EditorOptions): Extension[] {
  const save = { key: "Mod-s", run: () => { options.onSave(); return true; }, preventDefault: true };
  return [
    lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(), foldGutter(), drawSelection(),
    indentOnInput(), indentUnit.of("  "), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightSelectionMatches(),
    lintGutter(), syntaxHighlighting(COLOURS), THEME, EditorView.lineWrapping,
    autocompletion({ override: [(context) => completions(context, options)], icons: false }),
    hovers(options),
    keymap.of([
      save, ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap,
      indentWithTab,
    ]),
    EditorView.contentAttributes.of({ "aria-label": options.label }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) options.onChange(update.state.doc.toString());
      if (update.selectionSet) options.onMove(placeAt(update.state, update.state.selection.main.head));
    }),
  ];
}

export function createEditor(parent: HTMLElement, options: EditorOptions): EditorHandle {
  const [language, readOnly] = [new Compartment(), new Compartment()];
  const nonce = document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content;
  const fixed = (is: boolean) => [EditorState.readOnly.of(is), EditorView.editable.of(true)];
  const state = EditorState.create({
    doc: options.value,
    extensions: [
      ...behaviour(options), language.of(languageOf(options.language)), readOnly.of(fixed(options.readOnly)),
      nonce ? EditorView.cspNonce.of(nonce) : [],
    ],
  });
  const view = new EditorView({ state, parent });
  return {
    setValue: (value) => {
      if (value !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } });
    },
    setProblems: (problems) => view.dispatch(setDiagnostics(view.state, diagnosticsOf(view.state, problems))),
    setReadOnly: (is) => view.dispatch({ effects: readOnly.reconfigure(fixed(is)) }),
    setLanguage: (next) => view.dispatch({ effects: language.reconfigure(languageOf(next)) }),
    goTo: (number, column) => {
      const line = view.state.doc.line(Math.max(1, Math.min(number, view.state.doc.lines)));
      const at = line.from + (column ? Math.min(toUnits(line.text, column), line.length) : 0);
      view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
      view.focus();
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
