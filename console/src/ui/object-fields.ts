// Which field a line of an object's text is about, and what the schema says of it, for completions and
// hovers; pure.

import type { CompletionAnswer, CompletionAsk, EditorCompletion } from "./editor/types";

interface KnownField {
  name: string;
  type: string;
  about: string;
  words: ReadonlyArray<{ value: string; about: string }>;
}

const KEY = /^(\s*)(?:- )*\s*"?([A-Za-z_][\w.-]*)"?\s*:/;

/** The dotted field of a line (from 1) in YAML or JSON that is indented by levels. */
export function fieldAt(lines: readonly string[], line: number): string {
  const names: string[] = [];
  let indent = Number.POSITIVE_INFINITY;
  for (let index = Math.min(line, lines.length) - 1; index >= 0 && indent > 0; index -= 1) {
    const found = KEY.exec(lines[index] ?? "");
    const depth = found?.[1]?.length ?? 0;
    if (!found?.[2] || depth >= indent) continue;
    names.unshift(found[2]);
    indent = depth;
  }
  return names.join(".");
}

/** The field above a place where a key is typed: that of the nearest line with less indentation. */
export function parentAt(lines: readonly string[], line: number, indent: number): string {
  for (let index = Math.min(line - 1, lines.length) - 1; index >= 0; index -= 1) {
    const found = KEY.exec(lines[index] ?? "");
    if (found && (found[1]?.length ?? 0) < indent) return fieldAt(lines, index + 1);
  }
  return "";
}

/** The names that may stand below a field, with what each means. */
export function namesBelow(
  fields: readonly KnownField[],
  parent: string,
): Array<{ name: string; about: string }> {
  const prefix = parent === "" ? "" : `${parent}.`;
  const names = new Map<string, string>();
  for (const field of fields) {
    if (!field.name.startsWith(prefix)) continue;
    const [name = "", ...rest] = field.name.slice(prefix.length).split(".");
    if (!names.has(name) || rest.length === 0) names.set(name, rest.length === 0 ? field.about : "");
  }
  return [...names].map(([name, about]) => ({ name, about }));
}

/** What the schema says of a field, with the words that it takes. */
export function aboutField(fields: readonly KnownField[], name: string): string | undefined {
  const field = fields.find((one) => one.name === name);
  if (!field) return undefined;
  const words = field.words.map((word) => `${word.value}${word.about ? `: ${word.about}` : ""}`);
  return [`${field.name} (${field.type})`, field.about, ...words].filter((line) => line !== "").join("\n");
}

/** Completions in an object's text: names of fields, and the words that one takes. */
export function completeField(
  ask: CompletionAsk,
  fields: readonly KnownField[],
  format: "yaml" | "json",
): CompletionAnswer | null {
  const word = /[\w.-]*$/.exec(ask.before)?.[0] ?? "";
  if (word === "" && !ask.explicit) return null;
  const lines = ask.text.split("\n");
  const line = ask.text.slice(0, ask.offset).split("\n").length;
  const quote =
    format === "json" && !ask.before.slice(0, -word.length || undefined).endsWith('"') ? '"' : "";
  const items = /:\s+"?[\w.-]*$/.test(ask.before)
    ? valuesFor(fields, fieldAt(lines, line), quote)
    : namesFor(lines, line, ask.before, fields, quote);
  return { from: ask.offset - word.length, items };
}

function valuesFor(fields: readonly KnownField[], name: string, quote: string): EditorCompletion[] {
  const field = fields.find((one) => one.name === name);
  if (field?.type === "flag") return ["true", "false"].map((label) => ({ label, kind: "keyword" }));
  return (field?.words ?? []).map((word) => ({
    label: word.value,
    info: word.about,
    apply: quote + word.value + quote,
    kind: "keyword",
  }));
}

function namesFor(
  lines: readonly string[],
  line: number,
  before: string,
  fields: readonly KnownField[],
  quote: string,
): EditorCompletion[] {
  const indent = /^\s*(?:- )?/.exec(before)?.[0].length ?? 0;
  const end = quote === "" && before.includes('"') ? "" : `${quote}: `;
  return namesBelow(fields, parentAt(lines, line, indent)).map(({ name, about }) => ({
    label: name,
    info: about,
    kind: "property",
    apply: quote + name + end,
  }));
}

/** What is said of the field of a line. */
export function hoverField(text: string, line: number, fields: readonly KnownField[]): string[] | null {
  return aboutField(fields, fieldAt(text.split("\n"), line))?.split("\n") ?? null;
}
