// Objects as YAML or JSON text and back. Its own chunk, because the YAML reader is large. Only object-
// editor.tsx loads it.

import { LineCounter, parseDocument, stringify } from "yaml";

export type TextFormat = "yaml" | "json";

export interface TextFault {
  line: number;
  column: number;
  message: string;
}

export type ReadText = { value: unknown } | { faults: TextFault[] };

export function writeText(value: unknown, format: TextFormat): string {
  return format === "json"
    ? `${JSON.stringify(value, undefined, 2)}\n`
    : stringify(value, { lineWidth: 0 });
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
      return {
        faults: [{ line: 1, column: 1, message: error instanceof Error ? error.message : String(error) }],
      };
    }
  }
  return { value: document.toJS({ maxAliasCount: 100 }) as unknown };
}
