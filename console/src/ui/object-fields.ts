// Which field a line of an object's text is about, and what the schema says of it; pure.

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
export function namesBelow(fields: readonly KnownField[], parent: string): Array<{ name: string; about: string }> {
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
