// Params of a machine as rows to search and sort: which value counts, what it hides.
import { isSealed } from "../../api/sealed";
import type { LevelValue, ParamRow } from "../../api/schema";

export interface ParamLine {
  name: string;
  row: ParamRow;
  /** The levels behind the first, which count for nothing or are merged. */
  hidden: LevelValue[];
  isDefault: boolean;
}

export type ParamFilter = "set" | "hiding" | "all";

export function paramLines(
  params: Record<string, ParamRow>,
  search: string,
  filter: ParamFilter,
): ParamLine[] {
  const wanted = search.trim().toLowerCase();
  return Object.entries(params)
    .map(([name, row]) => {
      const hidden = (row.levels ?? []).slice(1);
      return { name, row, hidden, isDefault: row.level === "defaults" };
    })
    .filter(
      (line) =>
        filter === "all" ||
        (filter === "set" ? !line.isDefault : line.hidden.length > 0 && !line.isDefault),
    )
    .filter(
      (line) =>
        wanted === "" || line.name.toLowerCase().includes(wanted) || textOfLine(line).includes(wanted),
    )
    .sort((one, other) => one.name.localeCompare(other.name));
}

function textOfLine(line: ParamLine): string {
  return `${line.row.level} ${line.row.secret ? "" : JSON.stringify(line.row.value)}`.toLowerCase();
}

/** A value in one line; secrets are never among the values that the server gives. */
export function valueText(value: unknown): string {
  if (isSealed(value)) return "(sealed)";
  return typeof value === "string" ? value : JSON.stringify(value);
}

