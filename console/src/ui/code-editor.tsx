// An editor for templates and objects. CodeMirror is loaded when the first one opens. Tab indents; Escape and
// then Tab leaves the editor.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { asProblem } from "../api/problem";
import type { EditorCompletion, EditorHandle, EditorLanguage, EditorPlace, EditorProblem } from "./editor-types";
import { Loading, Problem } from "./status";
import "./code-editor.css";

export type { EditorCompletion, EditorHandle, EditorLanguage, EditorPlace, EditorProblem } from "./editor-types";

export interface CodeEditorProps {
  value: string;
  onChange?: (value: string) => void;
  language: EditorLanguage;
  /** For screen readers. */
  label: string;
  problems?: readonly EditorProblem[];
  completions?: (place: EditorPlace) => EditorCompletion[] | Promise<EditorCompletion[]>;
  hover?: (place: EditorPlace) => string | undefined | Promise<string | undefined>;
  onSave?: () => void;
  onMove?: (place: EditorPlace) => void;
  readOnly?: boolean;
  /** As CSS; 60 % of the window when it is not given. */
  height?: string;
  /** Gets the editor when it is there, to move its cursor. */
  handle?: (editor: EditorHandle | undefined) => void;
}

export function CodeEditor(props: CodeEditorProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const [editor, setEditor] = useState<EditorHandle | undefined>(undefined);
  const [problem, setProblem] = useState<unknown>(undefined);
  useEffect(() => {
    let made: EditorHandle | undefined;
    let isGone = false;
    import("./codemirror").then(({ createEditor }) => {
      if (isGone || !host.current) return;
      made = createEditor(host.current, optionsOf(latest));
      setEditor(made);
      latest.current.handle?.(made);
    }, setProblem);
    return () => {
      isGone = true;
      latest.current.handle?.(undefined);
      made?.destroy();
    };
  }, []);
  useEffect(() => editor?.setValue(props.value), [editor, props.value]);
  useEffect(() => editor?.setProblems(props.problems ?? []), [editor, props.problems]);
  useEffect(() => editor?.setReadOnly(props.readOnly ?? false), [editor, props.readOnly]);
  useEffect(() => editor?.setLanguage(props.language), [editor, props.language]);
  if (problem !== undefined) return <Problem problem={asProblem(problem)} />;
  return (
    <div class="code-editor" style={props.height ? { height: props.height } : undefined}>
      {!editor && <Loading label="Loading the editor" />}
      <div ref={host} class="host" />
      {props.problems && props.problems.length > 0 && <Problems problems={props.problems} editor={editor} />}
    </div>
  );
}

function optionsOf(latest: { current: CodeEditorProps }) {
  const { value, language, label, readOnly = false } = latest.current;
  return {
    value, language, label, readOnly,
    onChange: (text: string) => latest.current.onChange?.(text),
    onSave: () => latest.current.onSave?.(),
    onMove: (place: EditorPlace) => latest.current.onMove?.(place),
    complete: (place: EditorPlace) => latest.current.completions?.(place) ?? [],
    hover: (place: EditorPlace) => latest.current.hover?.(place),
  };
}

function Problems({ problems, editor }: {
  problems: readonly EditorProblem[]; editor: EditorHandle | undefined;
}): JSX.Element {
  return (
    <ol class="editor-problems" aria-label="Problems">
      {problems.map((problem, index) => (
        <li key={index}>
          <button type="button" class={problem.severity ?? "error"} onClick={() => editor?.goTo(problem.line, problem.column ?? undefined)}>
            {problem.line}{problem.column ? `:${problem.column}` : ""} {problem.message}
          </button>
        </li>
      ))}
    </ol>
  );
}
