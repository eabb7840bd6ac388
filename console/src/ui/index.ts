// The components that screens use, from one place.

export { Button, Copy, copyText, IconButton } from "./button";
export { CallBehind } from "./call-behind";
export { ConfirmErase, Dialog, Menu, type MenuItem } from "./dialog";
export { Field, Select, TextField, Toggle, type Choice } from "./form";
export * from "./format";
export { Icon } from "./icons";
export { Card, openTab, PageHeader, Tabs, type Tab } from "./page";
export { Empty, Loading, Problem, StateBadge, toneOf, type Tone } from "./status";
export { parseSort, sortText, Table, type Column, type SortOrder } from "./table";
export { toast } from "./toast";
export {
  Bars,
  Bytes,
  Duration,
  KeyValue,
  now,
  ProgressBar,
  Spark,
  Time,
  Truncated,
  type BarPart,
  type Pair,
} from "./values";
export {
  EditorPane as CodeEditor,
  MergePane,
  type EditorPaneProps as CodeEditorProps,
} from "./editor/EditorPane";
export type { EditorCompletion, EditorHandle, EditorLanguage, EditorProblem } from "./editor/types";
export { Diff } from "./diff";
export { diffLines } from "./diff-lines";
export { FilterBar } from "./filter-bar";
export { filterQuery, filtersOf } from "./filter";
export { Json } from "./json";
export { LogView } from "./log-view";
export { ObjectEditor } from "./object-editor";
