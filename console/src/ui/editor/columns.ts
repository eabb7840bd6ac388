/**
 * Columns. The API counts them from 1 in characters (Unicode scalar values), other tools in bytes of UTF-8;
 * the editor has offsets in UTF-16 units.
 */

/** UTF-16 units before the character with this number, from 1. At most the length of the line. */
export function unitsOfCharacters(line: string, column: number): number {
  let units = 0;
  let left = Math.max(0, Math.trunc(column) - 1);
  for (const character of line) {
    if (left === 0) break;
    units += character.length;
    left -= 1;
  }
  return units;
}

/** UTF-16 units before the byte with this number, from 1. A byte inside a character is that of its begin. */
export function unitsOfBytes(line: string, column: number): number {
  let units = 0;
  let left = Math.max(0, Math.trunc(column) - 1);
  for (const character of line) {
    const bytes = byteLength(character);
    if (left < bytes) break;
    units += character.length;
    left -= bytes;
  }
  return units;
}

/** The number of the character, from 1, at an offset in UTF-16 units. */
export function characterOfUnits(line: string, units: number): number {
  return [...line.slice(0, Math.max(0, units))].length + 1;
}

function byteLength(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** A place as people and the API say it. */
export interface TextPlace {
  line: number;
  column: number;
}

/** The place of an offset in UTF-16 units. */
export function placeOfOffset(text: string, offset: number): TextPlace {
  const before = text.slice(0, Math.max(0, offset));
  const lineStart = before.lastIndexOf("\n") + 1;
  let line = 1;
  for (let at = before.indexOf("\n"); at >= 0; at = before.indexOf("\n", at + 1)) line += 1;
  return { line, column: characterOfUnits(before.slice(lineStart), before.length - lineStart) };
}

/** The offset of a place in UTF-16 units; places behind the text are its end. */
export function offsetOfPlace(text: string, place: { line: number; column?: number }): number {
  let start = 0;
  for (let line = 1; line < place.line; line += 1) {
    const end = text.indexOf("\n", start);
    if (end < 0) return text.length;
    start = end + 1;
  }
  const end = text.indexOf("\n", start);
  const line = text.slice(start, end < 0 ? text.length : end);
  return start + unitsOfCharacters(line, place.column ?? 1);
}
