// The columns of the machine list: which there are, what they read of the API, and which are chosen.
// `param.NAME` and `label.NAME` are columns too. The API bounds a query to 32 fields.

import { BASE_FIELDS, type MachineRow } from "./row";

export type CellValue = string | number | boolean | null;

export type CellKind = "text" | "name" | "state" | "time" | "count" | "flag" | "progress";

export interface MachineColumn {
  /** The field of the API that the column shows, as URLs and saved views name it. */
  key: string;
  title: string;
  kind: CellKind;
  width: number;
  /** The fields that the column reads. */
  fields: readonly string[];
  isSortable: boolean;
  read: (row: MachineRow) => CellValue;
}

const FIELDS_MAX = 32;
export const COLUMNS_MAX = 20;
export const DEFAULT_COLUMNS: readonly string[] = [
  "name",
  "status.state",
  "status.reason",
  "status.since",
  "status.run.workflow",
  "status.cursor",
  "status.address",
  "macs",
  "status.last_seen",
];

type ColumnRow = [key: string, title: string, kind: CellKind, width: number];

const TABLE: readonly ColumnRow[] = [
  ["name", "Name", "name", 220],
  ["status.state", "State", "state", 120],
  ["status.reason", "Reason", "text", 180],
  ["status.since", "Since", "time", 105],
  ["status.run.workflow", "Run of", "text", 160],
  ["status.cursor", "Step", "progress", 90],
  ["status.stage", "Stage", "text", 160],
  ["status.bootenv", "Bootenv", "text", 170],
  ["status.address", "Address", "text", 130],
  ["macs", "MAC addresses", "text", 175],
  ["status.last_seen", "Last seen", "time", 105],
  ["status.armed_until", "Armed until", "time", 130],
  ["status.erases", "Erases", "text", 200],
  ["status.run.started_at", "Run began", "time", 120],
  ["status.run.paused", "Paused", "flag", 90],
  ["status.waiting.overdue", "Overdue", "flag", 90],
  ["status.waiting.reason", "Waits for", "text", 200],
  ["status.fruitless_attempts", "Fruitless boots", "count", 110],
  ["locked", "Locked", "flag", 80],
  ["workflow", "Own workflow", "text", 170],
  ["profiles", "Profiles", "text", 200],
  ["channel", "Channel", "text", 100],
  ["labels", "Labels", "text", 220],
  ["arch", "Architecture", "text", 110],
  ["serial", "Serial number", "text", 150],
  ["smbios_uuid", "SMBIOS UUID", "text", 290],
  ["problems", "Problems", "text", 260],
  ["created_at", "Created", "time", 120],
  ["updated_at", "Changed", "time", 120],
  ["id", "Id", "text", 290],
];

export const COLUMNS: readonly MachineColumn[] = TABLE.map(([key, title, kind, width]) => ({
  key,
  title,
  kind,
  width,
  fields: kind === "progress" ? ["status.cursor", "status.steps_total"] : [key],
  isSortable: key !== "problems" && key !== "labels",
  read: readerOf(key),
}));

const BY_KEY = new Map(COLUMNS.map((column) => [column.key, column]));

function readerOf(key: string): MachineColumn["read"] {
  switch (key) {
    case "macs":
      return (row) => (row.macs ?? []).join(" ") || null;
    case "profiles":
      return (row) => (row.profiles ?? []).join(" ") || null;
    case "labels":
      return (row) => labelsText(row.labels);
    case "problems":
      return (row) => (row.problems ?? []).map((problem) => problem.message).join("; ") || null;
    case "status.cursor":
      return stepText;
    default: {
      const path = key.split(".");
      return (row) => plainValue(path.reduce<unknown>(fieldOf, row));
    }
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function stepText({ status }: MachineRow): string | null {
  const total = status?.steps_total ?? 0;
  return total === 0 ? null : `${Math.min(status?.cursor ?? 0, total)}/${total}`;
}

function labelsText(labels: Record<string, string> | undefined): string | null {
  const texts = Object.entries(labels ?? {}).map(([name, value]) =>
    value === "" ? name : `${name}=${value}`,
  );
  return texts.join(" ") || null;
}

/** A value as a cell. A sealed secret is named as such. */
export function plainValue(value: unknown): CellValue {
  if (value === undefined || value === null) {
    return null;
  }
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  const isSealed = typeof value === "object" && "sealed" in value && Object.keys(value).length === 1;
  return isSealed ? "(secret)" : JSON.stringify(value);
}

/** The column of a key; none for a key that no column has. */
export function columnOf(key: string): MachineColumn | undefined {
  const known = BY_KEY.get(key);
  const [, noun, name] = /^(label|param)s?\.([^,]+)$/u.exec(key) ?? [];
  if (known !== undefined || noun === undefined || name === undefined) {
    return known;
  }
  const read: MachineColumn["read"] =
    noun === "label" ? (row) => row.labels?.[name] ?? null : (row) => plainValue(row.params?.[name]);
  const own = `${noun}.${name}`;
  return { key: own, title: name, kind: "text", width: 150, fields: [own], isSortable: true, read };
}

/** The columns of these keys, or the default ones. Unknown and repeated keys are left out. */
export function columnsOf(keys: readonly string[]): MachineColumn[] {
  const chosen = [...new Set(keys)].slice(0, COLUMNS_MAX).map(columnOf);
  const known = chosen.filter((found): found is MachineColumn => found !== undefined);
  return known.length > 0 ? known : columnsOf(DEFAULT_COLUMNS);
}

/** The columns that a text of the URL names. */
export function parseColumns(text: string | null | undefined): MachineColumn[] {
  return columnsOf((text ?? "").split(",").filter((key) => key !== ""));
}

/** The text of the URL for these columns; none for the default ones. */
export function formatColumns(columns: readonly MachineColumn[]): string | null {
  const text = columns.map((column) => column.key).join(",");
  return text === DEFAULT_COLUMNS.join(",") || text === "" ? null : text;
}

/** The `fields` of the list's query: what the columns show, and what the order needs. */
export function fieldsOf(columns: readonly MachineColumn[], sort = ""): string[] {
  const ordered = sort
    .split(",")
    .map((key) => key.replace(/^-/u, ""))
    .filter((key) => key !== "");
  return [...new Set([...BASE_FIELDS, ...ordered, ...columns.flatMap((column) => column.fields)])].slice(
    0,
    FIELDS_MAX,
  );
}

/** The columns with this one added, or without it. */
export function toggleColumn(columns: readonly MachineColumn[], key: string): MachineColumn[] {
  if (columns.some((column) => column.key === key)) {
    return columns.length === 1 ? [...columns] : columns.filter((column) => column.key !== key);
  }
  const added = columnOf(key);
  return added === undefined || columns.length >= COLUMNS_MAX ? [...columns] : [...columns, added];
}

/** The columns with one of them moved by some places. */
export function moveColumn(columns: readonly MachineColumn[], key: string, by: number): MachineColumn[] {
  const from = columns.findIndex((column) => column.key === key);
  const to = from + by;
  if (from < 0 || to < 0 || to >= columns.length) {
    return [...columns];
  }
  const moved = columns.filter((column) => column.key !== key);
  moved.splice(to, 0, ...columns.slice(from, from + 1));
  return moved;
}
