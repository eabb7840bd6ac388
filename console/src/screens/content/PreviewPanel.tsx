/** The document as the chosen machine would get it, beside the editor, with the origin of each line. */

import type { ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { EditorPane } from "../../ui/editor/EditorPane";
import { describeProblem, type NamedProblem } from "../../ui/editor/problems";
import type { EditorHandle, EditorLanguage, EditorProblem } from "../../ui/editor/types";
import { Copy } from "./kit";
import { MachineChoice } from "./MachineChoice";
import type { Preview } from "./previewSource";
import { linesOfTemplate, originTexts } from "./provenance";
import type { ContentDocument } from "./references";

export interface PreviewPanelProps {
  template: string;
  machine: string;
  document: ContentDocument;
  documents: readonly ContentDocument[];
  preview: Preview;
  /** The line of the template that the cursor is in. */
  cursor: ReadonlySignal<number>;
  onMachine: (name: string) => void;
  onDocument: (title: string) => void;
  /** A line of the preview was chosen: the line of the template that wrote it. */
  onLine: (line: number) => void;
}

export function PreviewPanel(props: PreviewPanelProps) {
  const { machine, document, documents, preview } = props;
  return (
    <section class="content-preview" aria-label="Preview">
      <div class="content-bar">
        <MachineChoice value={machine} onChoose={props.onMachine} />
        <label class="content-choice">
          <span>Document</span>
          <select value={document.title} onChange={(event) => props.onDocument(event.currentTarget.value)}>
            {documents.map((one) => (
              <option key={one.title} value={one.title}>
                {one.title}
              </option>
            ))}
          </select>
        </label>
      </div>
      <PreviewState preview={preview} template={props.template} machine={machine} />
      <PreviewText {...props} />
    </section>
  );
}

function PreviewState({
  preview,
  template,
  machine,
}: Pick<PreviewPanelProps, "preview" | "template" | "machine">) {
  const problem = preview.problem.value;
  const answer = preview.answer.value;
  if (machine === "") {
    return <p class="content-note">Choose a machine: the preview shows what it would get.</p>;
  }
  if (problem) {
    const elsewhere = problem.problems.filter((fault) => fault.template !== template);
    return (
      <div class="content-note content-bad" role="alert">
        {problem.problems.length === 0 && <p>{problem.detail}</p>}
        {problem.problems.length > elsewhere.length && (
          <p>The text cannot be rendered: see the marked line.</p>
        )}
        {elsewhere.map((fault) => (
          <p key={fault.message}>{describeProblem(fault)}</p>
        ))}
        {answer && <p>Below is the last text that could be rendered.</p>}
      </div>
    );
  }
  return (
    <p class="content-note" aria-live="polite">
      {preview.rendering.value
        ? "Rendering …"
        : answer
          ? `${answer.text.split("\n").length - 1} lines`
          : ""}
      {answer?.provenance.secret && " Secrets are shown as (sealed)."}
      {answer && <Copy text={answer.text} label="Copy the document" />}
    </p>
  );
}

function PreviewText({ template, document, preview, cursor, onLine }: PreviewPanelProps) {
  const editor = useRef<EditorHandle | null>(null);
  const answer = preview.answer.value;
  const lines = answer?.lines ?? [];
  const line = cursor.value;
  const mark = () => editor.current?.setMarkedLines(linesOfTemplate(lines, template, line));
  useEffect(mark, [answer, line, template]);
  if (!answer) return <div class="editor-pane content-editor" />;
  return (
    <EditorPane
      class={`content-editor ${preview.problem.value ? "content-old" : ""}`}
      value={answer.text}
      language={languageOf(document.title)}
      readOnly
      label={`Preview of ${document.title}`}
      problems={answer.problems.map(placeOfDocument)}
      hover={({ line: at }) => {
        const origin = lines[at - 1];
        return origin ? originTexts(origin, answer.sources ?? {}) : null;
      }}
      onPick={(at) => {
        const origin = lines[at - 1];
        if (origin?.template === template) onLine(origin.line);
      }}
      onReady={(ready) => {
        editor.current = ready;
        mark();
      }}
    />
  );
}

function placeOfDocument(problem: NamedProblem): EditorProblem {
  const column = problem.column ? { column: problem.column } : {};
  return { line: problem.line ?? 1, ...column, message: problem.message, severity: "warning" };
}

/** The language of a document, by the end of its name. */
export function languageOf(name: string): EditorLanguage {
  if (/\.ya?ml$/.test(name)) return "yaml";
  if (/\.json$/.test(name)) return "json";
  return /\.(sh|ks|ipxe)$/.test(name) ? "shell" : "text";
}
