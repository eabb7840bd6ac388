// Objects as JSON text, and back: without what the server sets. Pure.

/** Fields of every object that only the server sets. */
const OF_THE_SERVER = [
  "id", "revision", "status_revision", "commit", "created_at", "updated_at", "status_updated_at", "source", "hides",
  "status", "problems", "faults",
];

/** The part of an object that people write. `nameField` may be an id that the server gave. */
export function writtenPart(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !OF_THE_SERVER.includes(name)));
}

export const objectText = (object: Record<string, unknown>): string => JSON.stringify(writtenPart(object), null, 2);

/** The object that a text is, or why it is none. */
export function parseObject(text: string): { value: Record<string, unknown> } | { fault: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { value: value as Record<string, unknown> };
    return { fault: "The text is JSON, but no object: it begins with { and ends with }." };
  } catch (error) {
    return { fault: `The text is no JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}
