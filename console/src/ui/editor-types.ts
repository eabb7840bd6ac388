// What the code editor takes and gives. No code of CodeMirror here: it is loaded when an editor opens.

export type EditorLanguage = "jinja" | "yaml" | "json" | "shell" | "text";

export interface EditorProblem {
  /** From 1. */
  line: number;
  /** From 1, in characters (not UTF-16 units). */
  column?: number | null;
  message: string;
  severity?: "error" | "warning" | "info";
}

export interface EditorPlace {
  /** From 1. */
  line: number;
  /** From 1, in characters. */
  column: number;
  /** The word around the place: letters, digits, `_`, `.` and `-`. */
  word: string;
  /** The text of the line up to the place. */
  before: string;
  /** The whole text. */
  text: string;
}

export interface EditorCompletion {
  label: string;
  /** Shown beside the label. */
  detail?: string;
  /** Shown when it is chosen. */
  about?: string;
  /** What is put in, if it is not the label. */
  insert?: string;
  kind?: "variable" | "function" | "keyword" | "property" | "constant" | "text";
}

export interface EditorOptions {
  value: string;
  language: EditorLanguage;
  label: string;
  readOnly: boolean;
  onChange: (value: string) => void;
  /** Ctrl-S. */
  onSave: () => void;
  /** What may stand at a place; called while one types. */
  complete: (place: EditorPlace) => EditorCompletion[] | Promise<EditorCompletion[]>;
  /** What is said when the pointer rests on a place, as text; nothing where it is undefined. */
  hover: (place: EditorPlace) => string | undefined | Promise<string | undefined>;
  /** The cursor moved. */
  onMove: (place: EditorPlace) => void;
}

export interface EditorHandle {
  setValue: (value: string) => void;
  setProblems: (problems: readonly EditorProblem[]) => void;
  setReadOnly: (readOnly: boolean) => void;
  setLanguage: (language: EditorLanguage) => void;
  /** Shows a line and puts the cursor there. */
  goTo: (line: number, column?: number) => void;
  focus: () => void;
  destroy: () => void;
}
