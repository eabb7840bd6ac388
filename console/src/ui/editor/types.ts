/** What an editor is given and what it answers. Nothing here needs the chunk with the editor itself. */

export type EditorLanguage = "jinja" | "yaml" | "json" | "shell" | "text";

export type ProblemSeverity = "error" | "warning" | "info";

/** A problem at a place. Line and column count from 1, the column in characters, as the API has them. */
export interface EditorProblem {
  line: number;
  column?: number;
  message: string;
  severity?: ProblemSeverity;
}

export type CompletionKind =
  "param" | "function" | "filter" | "variable" | "block" | "template" | "keyword" | "property" | "test";

export interface EditorCompletion {
  label: string;
  detail?: string;
  info?: string;
  /** What is inserted, where it is not the label. */
  apply?: string;
  kind?: CompletionKind;
}

export interface CompletionAsk {
  text: string;
  /** The place of the cursor in UTF-16 units. */
  offset: number;
  /** The line of the cursor, and its part before the cursor. */
  line: string;
  before: string;
  /** Whether the user asked for it (Ctrl-Space). */
  explicit: boolean;
}

export interface CompletionAnswer {
  /** Where the word begins that a completion replaces, in UTF-16 units. */
  from: number;
  items: EditorCompletion[];
}

export type CompletionSource = (
  ask: CompletionAsk,
) => CompletionAnswer | null | Promise<CompletionAnswer | null>;

export interface HoverAsk {
  /** From 1. */
  line: number;
  word: string;
  from: number;
  to: number;
}

/** Paragraphs of plain text about the place under the pointer; null for none. */
export type HoverSource = (ask: HoverAsk) => string[] | null | Promise<string[] | null>;

export interface EditorOptions {
  parent: HTMLElement;
  value: string;
  language: EditorLanguage;
  /** The name for screen readers. */
  label: string;
  readOnly?: boolean;
  problems?: EditorProblem[];
  completions?: CompletionSource;
  hover?: HoverSource;
  onChange?: (value: string) => void;
  /** Ctrl-S or Cmd-S. */
  onSave?: () => void;
  /** The line of the cursor, from 1. */
  onCursor?: (line: number) => void;
  /** The line that the user chose by pointer or keys, from 1; not told when the text moves the cursor. */
  onPick?: (line: number) => void;
  /** A text that the value is compared with: changed lines are marked. */
  original?: string;
}

export interface EditorHandle {
  value(): string;
  setValue(value: string): void;
  setProblems(problems: EditorProblem[]): void;
  setLanguage(language: EditorLanguage): void;
  setReadOnly(readOnly: boolean): void;
  setOriginal(original: string | undefined): void;
  /** Lines that are marked, such as those that a template wrote; from 1. The first one is scrolled to. */
  setMarkedLines(lines: number[]): void;
  goTo(line: number, column?: number): void;
  focus(): void;
  destroy(): void;
}

export interface MergeSide {
  text: string;
  label: string;
  /** Without it the side is read-only. */
  onChange?: (value: string) => void;
}

export interface MergeOptions {
  parent: HTMLElement;
  left: MergeSide;
  right: MergeSide;
  language: EditorLanguage;
}

export interface MergeHandle {
  value(): string;
  destroy(): void;
}
