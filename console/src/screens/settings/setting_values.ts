// Values of settings as text, and back, by the schema that the server gives. Pure.

export interface SettingSchema {
  type?: string | string[];
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  pattern?: string;
}

export const settingText = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined ? "null" : JSON.stringify(value);

/** Which values a setting may have, in words. */
export function valuesText(schema: SettingSchema): string {
  if (schema.enum) return schema.enum.map(settingText).join(", ");
  const words = [schema.type]
    .flat()
    .filter((type): type is string => type !== undefined)
    .map((type) => {
      if (type === "integer" && schema.minimum !== undefined)
        return `${schema.minimum} to ${schema.maximum ?? "any"}`;
      if (type === "boolean") return "true or false";
      return type === "string" ? "text" : type;
    });
  return words.join(" or ");
}

/** The value that a text stands for, or why it stands for none. The server checks it again. */
export function parseSetting(text: string, schema: SettingSchema): { value: unknown } | { fault: string } {
  const types = schema.enum
    ? schema.enum.map((value) => (value === null ? "null" : typeof value))
    : [schema.type].flat();
  const trimmed = text.trim();
  if (types.includes("null") && (trimmed === "null" || trimmed === "")) return { value: null };
  if (types.includes("boolean") && (trimmed === "true" || trimmed === "false"))
    return { value: trimmed === "true" };
  if (types.includes("integer")) {
    const number = Number(trimmed);
    if (trimmed !== "" && Number.isInteger(number)) return { value: number };
    return { fault: `The value is a whole number: ${valuesText(schema)}.` };
  }
  if (types.includes("string")) return { value: trimmed };
  return { fault: `The value is ${valuesText(schema)}.` };
}
