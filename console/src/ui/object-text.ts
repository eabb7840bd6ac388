// Objects as YAML or JSON text and back, and where a JSON pointer stands in the text. Its own chunk, because the
// YAML reader is large. Only object-editor.tsx loads it.

import { isMap, isPair, isSeq, LineCounter, parseDocument, stringify, type Document } from "yaml";

export type TextFormat = "yaml" | "json";

export interface TextFault {
  line: number;
  column: number;
  message: string;
}

export type ReadText =
  | { value: unknown; locate: (pointer: string) => { line: number; column: number } | undefined }
  | { faults: TextFault[] };

export function writeText(value: unknown, format: TextFormat): string {
  return format === "json" ? `${JSON.stringify(value, undefined, 2)}\n` : stringify(value, { lineWidth: 0 });
}

/** JSON is YAML, so one reader takes both. */
export function readText(text: string, format: TextFormat): ReadText {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const [fault] = document.errors;
  if (fault) {
    const { line, col } = lines.linePos(fault.pos[0]);
    return { faults: [{ line, column: Math.max(1, col), message: fault.message }] };
  }
  if (format === "json") {
    try {
      JSON.parse(text);
    } catch (error) {
      return { faults: [{ line: 1, column: 1, message: error instanceof Error ? error.message : String(error) }] };
    }
  }
  return { value: document.toJS({ maxAliasCount: 100 }) as unknown, locate: (pointer) => locate(document, lines, pointer) };
}

/** The place of the deepest part of a pointer that is in the text. */
function locate(document: Document, lines: LineCounter, pointer: string): { line: number; column: number } | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const raw of pointer.split("/").slice(1)) {
    const part = raw.replaceAll("~1", "/").replaceAll("~0", "~");
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && keyText(item.key) === part);
      if (!pair) break;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = startOf(node) ?? offset;
    } else break;
  }
  if (offset === undefined) return undefined;
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function keyText(key: unknown): string {
  return typeof key === "object" && key !== null && "value" in key ? String(key.value) : String(key);
}

function startOf(node: unknown): number | undefined {
  const range = typeof node === "object" && node !== null && "range" in node ? node.range : undefined;
  return Array.isArray(range) ? Number(range[0]) : undefined;
}
