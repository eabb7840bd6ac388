/** The lists of content: what each noun is, and what of it stands in a list. */

import type { StoredContent } from "./contentData";
import type { ContentNoun } from "./references";

export interface NounColumn {
  key: string;
  title: string;
  width: number;
  value: (object: StoredContent) => string;
}

export interface ContentNounView {
  noun: ContentNoun;
  title: string;
  one: string;
  about: string;
  columns: NounColumn[];
}

const count = (value: unknown): string => {
  if (Array.isArray(value)) return String(value.length);
  return value && typeof value === "object" ? String(Object.keys(value).length) : "0";
};

const text = (value: unknown): string => {
  if (value === undefined || value === null) return "";
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);
};

const keys = (value: unknown): string =>
  value && typeof value === "object" ? Object.keys(value).join(", ") : "";

const names = (value: unknown): string => (Array.isArray(value) ? value.join(", ") : "");

/** The type of a JSON Schema in one word. */
export function schemaWord(schema: unknown): string {
  if (!schema || typeof schema !== "object") return "any";
  const { type, enum: values } = schema as { type?: unknown; enum?: unknown };
  if (Array.isArray(values)) return `one of ${values.map(text).join(", ")}`;
  return type === undefined ? "any" : names(type) || text(type);
}

function seconds(value: unknown): string {
  const number = typeof value === "number" ? value : null;
  if (number === null) return "";
  return number >= 120 && number % 60 === 0 ? `${number / 60} min` : `${number} s`;
}

export const NOUNS: readonly ContentNounView[] = [
  {
    noun: "templates",
    title: "Templates",
    one: "template",
    about: "Texts that are rendered for a machine: answer files, boot scripts, scripts of tasks.",
    columns: [
      {
        key: "lines",
        title: "Lines",
        width: 70,
        value: (o) => String((o.body ?? "").split("\n").length - 1),
      },
    ],
  },
  {
    noun: "bootenvs",
    title: "Bootenvs",
    one: "bootenv",
    about: "Ways to boot: kernel, initrds, command line, and the files that are rendered.",
    columns: [
      { key: "kind", title: "Kind", width: 90, value: (o) => text(o["kind"]) },
      { key: "arches", title: "Architectures", width: 140, value: (o) => keys(o["arches"]) },
      { key: "files", title: "Files", width: 70, value: (o) => count(o.templates) },
    ],
  },
  {
    noun: "stages",
    title: "Stages",
    one: "stage",
    about: "Steps of workflows: a bootenv to be in, and the tasks that run there.",
    columns: [
      { key: "bootenv", title: "Bootenv", width: 170, value: (o) => text(o.bootenv) },
      { key: "tasks", title: "Tasks", width: 200, value: (o) => names(o.tasks) },
      { key: "timeout", title: "Time-out", width: 90, value: (o) => seconds(o["timeout_seconds"]) },
    ],
  },
  {
    noun: "tasks",
    title: "Tasks",
    one: "task",
    about: "Scripts and files that run on a machine.",
    columns: [
      { key: "files", title: "Files", width: 70, value: (o) => count(o.templates) },
      { key: "interpreter", title: "Interpreter", width: 120, value: (o) => text(o["interpreter"]) },
      { key: "timeout", title: "Time-out", width: 90, value: (o) => seconds(o["timeout_seconds"]) },
    ],
  },
  {
    noun: "workflows",
    title: "Workflows",
    one: "workflow",
    about: "Ordered lists of stages.",
    columns: [{ key: "stages", title: "Stages", width: 340, value: (o) => names(o.stages) }],
  },
  {
    noun: "profiles",
    title: "Profiles",
    one: "profile",
    about: "Named sets of param values.",
    columns: [
      { key: "params", title: "Params", width: 80, value: (o) => count(o.params) },
      { key: "profiles", title: "Further profiles", width: 180, value: (o) => names(o.profiles) },
      { key: "channel", title: "Channel", width: 90, value: (o) => text(o["channel"]) },
    ],
  },
  {
    noun: "params",
    title: "Params",
    one: "param",
    about: "Declarations of values: the schema, the default, and whether a value is secret.",
    columns: [
      { key: "type", title: "Type", width: 120, value: (o) => schemaWord(o["schema"]) },
      {
        key: "default",
        title: "Default",
        width: 160,
        value: (o) => (o["secret"] === true ? "(sealed)" : text(o["default"])),
      },
      { key: "secret", title: "Secret", width: 80, value: (o) => (o["secret"] === true ? "secret" : "") },
    ],
  },
];

export function nounView(noun: string): ContentNounView | undefined {
  return NOUNS.find((view) => view.noun === noun);
}
