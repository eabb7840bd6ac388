/** The names that a template can use, for completions, and what each is, for the text under the pointer. */

import { isSealed } from "../../api/sealed";
import type { TemplateNames } from "../../ui/editor/completion";
import type { EditorCompletion } from "../../ui/editor/types";
import { templateBlocks, templateReads } from "../../ui/editor/blocks";
import { TEMPLATE_FILTERS, TEMPLATE_FUNCTIONS, TEMPLATE_VARIABLES } from "../../ui/editor/vocabulary";
import type { ContentData, StoredContent, StoredParam } from "./contentData";
import { schemaWord } from "./nouns";

export interface VariableRow {
  name: string;
  value: unknown;
  from: string;
}

export interface ParamRow {
  value: unknown;
  level: string;
  secret: boolean;
  levels?: { level: string; value: unknown }[];
}

export interface MachineValues {
  machine: string;
  variables: VariableRow[];
  params: Record<string, ParamRow>;
}

/** Longest value that is shown under the pointer. */
const VALUE_MAX = 200;

/** A value as people read it; secrets are sealed. */
export function valueWords(value: unknown): string {
  if (isSealed(value)) return "(sealed)";
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)} …` : text;
}

/** The names for completions. */
export function editorNames(
  template: StoredContent,
  data: ContentData,
  variables: readonly VariableRow[],
): TemplateNames {
  const objects = data.objects.value;
  const params = (objects.params as readonly StoredParam[]).map((param): EditorCompletion => ({
    label: param.name,
    detail: param.secret ? "secret" : schemaWord(param.schema),
    kind: "param",
    ...(param.description ? { info: param.description } : {}),
  }));
  const templates = objects.templates.map((one): EditorCompletion => ({
    label: one.name,
    kind: "template",
    ...(one.description ? { info: one.description } : {}),
  }));
  const base = templateReads(template.body ?? "").extended;
  const parent = objects.templates.find((one) => one.name === base);
  const blocks = templateBlocks(parent?.body ?? "").map((block): EditorCompletion => ({
    label: block.name,
    kind: "block",
    detail: block.empty ? "empty" : `line ${block.line} of ${base}`,
  }));
  const own = variables.filter((row) => /^[a-z_.]+$/.test(row.name));
  return {
    params,
    templates,
    blocks,
    ...(own.length > 0 ? { variables: own.map(variableCompletion) } : {}),
  };
}

function variableCompletion(row: VariableRow): EditorCompletion {
  return { label: row.name, kind: "variable", detail: valueWords(row.value).slice(0, 60), info: row.from };
}

/** What a word of a template is, and the machine's value of it. */
export function hoverTexts(word: string, data: ContentData, values: MachineValues): string[] | null {
  const param = (data.objects.value.params as readonly StoredParam[]).find((one) => one.name === word);
  if (param) return paramTexts(param, values);
  const variable = values.variables.find((row) => row.name === word);
  if (variable) return [`${word} = ${valueWords(variable.value)}`, `From ${variable.from}.`];
  const template = data.objects.value.templates.find((one) => one.name === word);
  if (template)
    return [`Template ${word} (${template.source})`, template.description ?? ""].filter(Boolean);
  const known = [...TEMPLATE_FUNCTIONS, ...TEMPLATE_FILTERS, ...TEMPLATE_VARIABLES].find(
    (one) => one.name === word,
  );
  return known ? [`${known.name}${known.args}: ${known.about}`] : null;
}

function paramTexts(param: StoredParam, values: MachineValues): string[] {
  const row = values.params[param.name];
  const levels = (row?.levels ?? []).slice(1).map((level) => level.level);
  const value = row ? `${values.machine}: ${valueWords(row.value)}, from ${row.level}` : null;
  return [
    `Param ${param.name}, ${param.secret ? "secret" : schemaWord(param.schema)} (${param.source})`,
    param.description ?? "",
    value === null
      ? values.machine === ""
        ? ""
        : `${values.machine} has no value of it.`
      : levels.length > 0
        ? `${value}; hides ${levels.join(", ")}`
        : value,
  ].filter((text) => text !== "");
}
