/** Where the value of a JSON pointer stands in a JSON or YAML text. */

import { placeOfOffset, type TextPlace } from "./columns";

/** The parts of a pointer (RFC 6901). */
export function pointerParts(pointer: string): string[] {
  if (pointer === "") return [];
  const parts = pointer.replace(/^#?\//, "").split("/");
  return parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The place of the value that a pointer names, or of the nearest value above it. */
export function locatePointer(text: string, pointer: string, language: "json" | "yaml"): TextPlace | null {
  const parts = pointerParts(pointer);
  const offset = language === "json" ? locateJson(text, parts) : locateYaml(text, parts);
  return offset === null ? null : placeOfOffset(text, offset);
}

const SPACE = /\s/;

function skipSpace(text: string, at: number): number {
  while (at < text.length && SPACE.test(text[at] ?? "")) at += 1;
  return at;
}

function endOfString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

function readString(text: string, at: number, end: number): string {
  try {
    return String(JSON.parse(text.slice(at, end)));
  } catch {
    return text.slice(at + 1, end - 1);
  }
}

/** The offset behind the JSON value at `at`. */
function endOfValue(text: string, at: number): number {
  if (text[at] === '"') return endOfString(text, at);
  let depth = 0;
  for (let i = at; i < text.length; i += 1) {
    const c = text[i] ?? "";
    if (c === '"') i = endOfString(text, i) - 1;
    else if (c === "{" || c === "[") depth += 1;
    else if (c === "}" || c === "]") {
      if (depth <= 1) return depth === 0 ? i : i + 1;
      depth -= 1;
    } else if (depth === 0 && (c === "," || SPACE.test(c))) return i;
  }
  return text.length;
}

/** The offset of the member or item that a part names, with the value's own offset. */
function jsonChild(text: string, at: number, part: string): { key: number; value: number } | null {
  const isObject = text[at] === "{";
  if (!isObject && text[at] !== "[") return null;
  let i = skipSpace(text, at + 1);
  for (let index = 0; i < text.length && text[i] !== "}" && text[i] !== "]"; index += 1) {
    const key = i;
    let name = String(index);
    if (isObject) {
      if (text[i] !== '"') return null;
      const end = endOfString(text, i);
      name = readString(text, i, end);
      i = skipSpace(text, end);
      if (text[i] === ":") i = skipSpace(text, i + 1);
    }
    if (name === part) return { key, value: i };
    const end = endOfValue(text, i);
    i = skipSpace(text, end);
    if (text[i] === ",") i = skipSpace(text, i + 1);
    else if (end === i && text[i] !== "}" && text[i] !== "]") return null;
  }
  return null;
}

function locateJson(text: string, parts: string[]): number | null {
  let value = skipSpace(text, 0);
  let found = value;
  for (const part of parts) {
    const child = jsonChild(text, value, part);
    if (child === null) break;
    found = child.key;
    value = child.value;
  }
  return found < text.length ? found : null;
}

interface YamlLine {
  offset: number;
  indent: number;
  text: string;
}

function yamlLines(text: string): YamlLine[] {
  const lines: YamlLine[] = [];
  let offset = 0;
  for (const raw of text.split("\n")) {
    const trimmed = raw.trim();
    const counts = trimmed !== "" && !trimmed.startsWith("#") && trimmed !== "---";
    if (counts) lines.push({ offset, indent: raw.length - raw.trimStart().length, text: raw.trimEnd() });
    offset += raw.length + 1;
  }
  return lines;
}

/** A line of a list is two: the dash, and what follows it deeper in. */
function withoutDashes(lines: YamlLine[]): YamlLine[] {
  const split: YamlLine[] = [];
  for (const line of lines) {
    let rest = line;
    for (;;) {
      const body = rest.text.slice(rest.indent);
      if (body !== "-" && !body.startsWith("- ")) break;
      split.push({ ...rest, text: " ".repeat(rest.indent) + "-" });
      const after = body.slice(1);
      const deeper = rest.indent + 1 + (after.length - after.trimStart().length);
      if (after.trim() === "") {
        rest = { ...rest, text: "", indent: -1 };
        break;
      }
      rest = { offset: rest.offset, indent: deeper, text: " ".repeat(deeper) + after.trimStart() };
    }
    if (rest.indent >= 0) split.push(rest);
  }
  return split;
}

function yamlKey(line: YamlLine): string | null {
  const body = line.text.slice(line.indent);
  const found = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^:#]+?)\s*:(?:\s|$)/.exec(body);
  if (!found) return null;
  const key = found[1] ?? "";
  if (key.startsWith('"')) return readString(key, 0, key.length);
  return key.startsWith("'") ? key.slice(1, -1).replaceAll("''", "'") : key;
}

/** The lines of the block with the part, without its first line. */
function yamlChild(lines: YamlLine[], part: string): { line: YamlLine; inner: YamlLine[] } | null {
  const indent = lines[0]?.indent ?? 0;
  let index = -1;
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i];
    if (!line || line.indent < indent) return null;
    if (line.indent > indent) continue;
    const isItem = line.text.slice(line.indent) === "-";
    if (isItem) index += 1;
    if (isItem ? String(index) !== part : yamlKey(line) !== part) continue;
    const rest = lines.slice(i + 1);
    const end = rest.findIndex(
      (next) =>
        next.indent < indent ||
        (next.indent === indent && (isItem || next.text.slice(next.indent) !== "-")),
    );
    return { line, inner: end < 0 ? rest : rest.slice(0, end) };
  }
  return null;
}

function locateYaml(text: string, parts: string[]): number | null {
  let lines = withoutDashes(yamlLines(text));
  let found = lines[0];
  for (const part of parts) {
    const child = yamlChild(lines, part);
    if (child === null) break;
    found = child.line;
    lines = child.inner;
  }
  return found ? found.offset + found.indent : null;
}
