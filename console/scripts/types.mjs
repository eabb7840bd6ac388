// Makes `src/api/schema.d.ts` (a type for each schema of `openapi.yaml`) and `src/api/fields.ts` (what each
// list can be filtered by, as data for the filter bar). `--if-needed` does nothing when both are newer.
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCE = join(HERE, "../../openapi.yaml");
const TYPES = join(HERE, "../src/api/schema.d.ts");
const FIELDS = join(HERE, "../src/api/fields.ts");
const SELF = fileURLToPath(import.meta.url);
const HEAD = "// Made from openapi.yaml by scripts/types.mjs. Do not edit.\n";
/** How deep the fields of objects inside objects are listed. */
const DEPTH_MAX = 4;

function isCurrent() {
  const made = [TYPES, FIELDS];
  if (!made.every(existsSync)) return false;
  const sources = Math.max(statSync(SOURCE).mtimeMs, statSync(SELF).mtimeMs);
  return made.every((file) => statSync(file).mtimeMs >= sources);
}

const typeName = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const refName = (ref) => ref.split("/").pop();

function comment(schema, indent) {
  const text = schema?.description?.replace(/\s+/g, " ").replaceAll("*/", "* /").trim();
  return text ? `${indent}/** ${text} */\n` : "";
}

const union = (parts) =>
  [...new Set(parts)].map((part) => (part.includes("=>") ? `(${part})` : part)).join(" | ");

/** The TypeScript type of a schema. */
function typeOf(schema, indent = "") {
  if (schema === undefined || schema === true) return "unknown";
  if (schema.$ref) return typeName(refName(schema.$ref));
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return union(schema.enum.map((value) => JSON.stringify(value)));
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choiceType(schema, choices, indent);
  if (schema.allOf) return schema.allOf.map((part) => typeOf(part, indent)).join(" & ");
  const types = Array.isArray(schema.type) ? schema.type : [schema.type];
  return union(types.map((type) => plainType(type, schema, indent)));
}

function choiceType(schema, choices, indent) {
  const either = union(choices.map((choice) => typeOf(choice, indent)));
  const own = schema.properties ? objectType(schema, indent) : "";
  return own ? `${own} & (${either})` : choices.length > 1 ? either : either || "unknown";
}

function plainType(type, schema, indent) {
  switch (type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "null":
      return "null";
    case "array":
      return arrayType(schema, indent);
    case "object":
      return objectType(schema, indent);
    default:
      return schema.properties ? objectType(schema, indent) : "unknown";
  }
}

function arrayType(schema, indent) {
  if (schema.prefixItems) return `[${schema.prefixItems.map((item) => typeOf(item, indent)).join(", ")}]`;
  return `Array<${typeOf(schema.items, indent)}>`;
}

function objectType(schema, indent) {
  const inner = `${indent}  `;
  const required = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const key = /^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name);
    const mark = required.has(name) ? "" : "?";
    return `${comment(property, inner)}${inner}${key}${mark}: ${typeOf(property, inner)};\n`;
  });
  if (lines.length > 0) return `{\n${lines.join("")}${indent}}`;
  const rest = schema.additionalProperties;
  if (rest === false) return "Record<string, never>";
  return `Record<string, ${rest && rest !== true ? typeOf(rest, indent) : "unknown"}>`;
}

function writeTypes(schemas) {
  const parts = Object.entries(schemas).map(([name, schema]) => {
    return `${comment(schema, "")}export type ${typeName(name)} = ${typeOf(schema)};\n`;
  });
  writeFileSync(TYPES, HEAD + parts.join("\n"));
}

/** The words that a field takes, with what each means. */
function wordsOf(schema) {
  if (schema.const !== undefined) return [{ value: String(schema.const), about: schema.description ?? "" }];
  if (schema.enum) {
    const about = schema["x-enum-descriptions"] ?? [];
    return schema.enum.map((value, index) => ({ value: String(value), about: about[index] ?? "" }));
  }
  return (schema.oneOf ?? schema.anyOf ?? []).flatMap(wordsOf);
}

function fieldType(schema) {
  const types = [schema.type].flat().filter((type) => type && type !== "null");
  if (schema.format === "date-time") return "time";
  if (types.includes("integer") || types.includes("number")) return "number";
  if (types.includes("boolean")) return "flag";
  return types[0] === "array" ? "list" : types[0] === "object" ? "object" : "text";
}

/** Finds the fields of a schema: `{ name, type, about, words }` by dotted name. */
function fieldsOf(schemas, schema, prefix, depth, into) {
  const real = resolve(schemas, schema);
  for (const [name, property] of Object.entries(real.properties ?? {})) {
    const full = prefix + name;
    const value = resolve(schemas, property);
    const about = (property.description ?? value.description ?? "").replace(/\s+/g, " ");
    const words = wordsOf(value).filter((word) => word.value !== "null");
    const item = value.items ? resolve(schemas, value.items) : undefined;
    const nested = item?.properties ? item : value.properties ? value : undefined;
    if (!nested) into.push({ name: full, type: words.length ? "word" : fieldType(value), about, words });
    if (nested && depth < DEPTH_MAX) fieldsOf(schemas, nested, `${full}.`, depth + 1, into);
  }
  return into;
}

function resolve(schemas, schema) {
  if (schema.$ref) return resolve(schemas, schemas[refName(schema.$ref)]);
  const choices = (schema.anyOf ?? schema.oneOf ?? []).filter((choice) => choice.type !== "null");
  return choices.length === 1
    ? { ...resolve(schemas, choices[0]), description: schema.description }
    : schema;
}

function writeFields(document) {
  const schemas = document.components.schemas;
  const lists = {};
  for (const [path, operations] of Object.entries(document.paths)) {
    const match = /^\/api\/v1\/([a-z_]+)$/.exec(path);
    const parameters = operations.get?.parameters ?? [];
    if (!match || !parameters.some((parameter) => parameter.name === "filter")) continue;
    const list = operations.get.responses["200"].content["application/json"].schema;
    const items = resolve(schemas, list).properties.items.items;
    const row = items.anyOf ? items.anyOf[0] : items;
    lists[match[1]] = fieldsOf(schemas, row, "", 0, []);
  }
  const shape = `export interface FieldWord { value: string; about: string }
export type FieldType = "text" | "number" | "time" | "flag" | "word" | "list" | "object";
export interface FilterField { name: string; type: FieldType; about: string; words: FieldWord[] }
/** What each list can be filtered and sorted by. */
export const FIELDS: Record<string, FilterField[]> = `;
  writeFileSync(FIELDS, `${HEAD}${shape}${JSON.stringify(lists)};\n`);
}

if (!(process.argv.includes("--if-needed") && isCurrent())) {
  const document = parse(readFileSync(SOURCE, "utf8"));
  writeTypes(document.components.schemas);
  writeFields(document);
}
