// The list as a file: CSV for spreadsheets, JSON as the API has the objects.

import { csvCell } from "../../ui/csv";
import type { MachineColumn } from "./columns";
import type { MachineRow } from "./row";

/** RFC 4180: a line of titles, then a line for each row. */
export function toCsv(columns: readonly MachineColumn[], rows: readonly MachineRow[]): string {
  const lines = [columns.map((column) => csvCell(column.key)).join(",")];
  for (const row of rows) {
    lines.push(columns.map((column) => csvCell(column.read(row))).join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

/** An array with one object a line, which has the fields of the columns as the API has them. */
export function toJson(rows: readonly MachineRow[]): string {
  return rows.length === 0 ? "[]\n" : `[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]\n`;
}

/** `machines-2026-11-30T2145Z.csv` */
export function fileName(extension: "csv" | "json", now: Date): string {
  const stamp = now.toISOString().slice(0, 16).replace(":", "");
  return `machines-${stamp}Z.${extension}`;
}
