// A cell of a CSV file (RFC 4180). A text that a spreadsheet would take for a formula begins with an
// apostrophe.

/** What spreadsheets take for the beginning of a formula, also behind spaces, and in full width. */
const FORMULA = /^[\s\u0000]*[=+\-@\uFF0B\uFF0D\uFF1D\uFF20\t\r\n|]/u;
const NEEDS_QUOTES = /[",;\r\n\t]|^\s|\s$/u;
/** Text that is a number as it stands. */
const NUMBER = /^-?\d+(\.\d+)?$/u;

export function csvCell(value: string | number | boolean | null): string {
  if (value === null) {
    return "";
  }
  if (typeof value !== "string") {
    return String(value);
  }
  const safe = FORMULA.test(value) && !NUMBER.test(value) ? `'${value}` : value;
  return NEEDS_QUOTES.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
