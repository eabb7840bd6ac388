// Columns: the server counts characters from 1, JavaScript UTF-16 units from 0; pure.

/** The unit at which the character `column` begins. */
export function toUnits(line: string, column: number): number {
  let unit = 0;
  let character = 1;
  for (const part of line) {
    if (character >= column) return unit;
    unit += part.length;
    character += 1;
  }
  return unit;
}

/** The column of the character at a unit. */
export function fromUnits(line: string, unit: number): number {
  return [...line.slice(0, unit)].length + 1;
}

/** The word around a unit: letters, digits, `_`, `.` and `-`. */
export function wordAt(line: string, unit: number): string {
  const before = /[\w.-]*$/.exec(line.slice(0, unit))?.[0] ?? "";
  const after = /^[\w.-]*/.exec(line.slice(unit))?.[0] ?? "";
  return before + after;
}
