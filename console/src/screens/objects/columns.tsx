// Columns of a generic list, by the types of the fields.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { valueAt } from "../../live/merge";
import { StateBadge } from "../../ui/status";
import type { Column } from "../../ui/table";
import { Bytes, Time } from "../../ui/values";
import { objectPath } from "./links";
import type { FilterField } from "../../api/fields";
import type { NounView } from "./nouns";

export type ObjectRow = Record<string, unknown>;

const BYTES = /(^|[._])(bytes|size)$/;
const STATES = /(^|\.)(state|result)$/;

/** A value in a cell. */
export function cellText(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value))
    return value.every((item) => typeof item !== "object") ? value.join(", ") : `${value.length}`;
  if (typeof value === "object") return Object.keys(value).join(", ");
  return String(value);
}

export function keyOf(noun: NounView, row: ObjectRow): string {
  const key = row[noun.nameField] ?? row["id"] ?? row["name"];
  return cellText(key);
}

function rendered(field: string, type: string, value: unknown): JSX.Element | string {
  if (value === undefined || value === null || value === "") return "";
  if (type === "time") return <Time at={String(value)} />;
  if (STATES.test(field)) return <StateBadge state={String(value)} />;
  if (BYTES.test(field) && typeof value === "number") return <Bytes value={value} />;
  const text = cellText(value);
  return <span title={text}>{text}</span>;
}

/** The name first, then the noun's columns, then the others to be chosen. */
export function objectColumns(noun: NounView, fields: readonly FilterField[]): Column<ObjectRow>[] {
  const typeOf = (name: string) => fields.find((field) => field.name === name)?.type ?? "text";
  const column = (name: string, optional: boolean): Column<ObjectRow> => ({
    key: name,
    title: name,
    optional,
    width: widthOf(name),
    align: typeOf(name) === "number" ? "end" : "start",
    value: (row) => {
      const value = valueAt(row, name);
      return typeof value === "number" || typeof value === "boolean" ? value : cellText(value);
    },
    render: (row) => rendered(name, typeOf(name), valueAt(row, name)),
  });
  const name: Column<ObjectRow> = {
    key: noun.nameField,
    title: noun.nameField,
    width: "230px",
    value: (row) => keyOf(noun, row),
    render: (row) => <Link to={objectPath(noun.word, keyOf(noun, row))}>{keyOf(noun, row)}</Link>,
  };
  const shown = noun.columns.filter((field) => field !== noun.nameField);
  const rest = fields
    .map((field) => field.name)
    .filter((field) => field !== noun.nameField && !shown.includes(field));
  return [
    name,
    ...shown.map((field) => column(field, false)),
    problemsColumn(),
    ...rest
      .filter((field) => !field.startsWith("problems"))
      .slice(0, OPTIONAL_MAX)
      .map((field) => column(field, true)),
  ];
}

const LONG = /description|reason|query|scopes|stages|packs/;

/** Fixed widths, so that the heads stand above their cells where the table is wider than the page. */
const widthOf = (name: string): string => (LONG.test(name) ? "240px" : "150px");

/** Most further columns that the menu offers. */
const OPTIONAL_MAX = 30;

function problemsColumn(): Column<ObjectRow> {
  const count = (row: ObjectRow) => (Array.isArray(row["problems"]) ? row["problems"].length : 0);
  return {
    key: "problems",
    title: "problems",
    width: "90px",
    value: count,
    render: (row) =>
      count(row) > 0 ? (
        <StateBadge state={String(count(row))} tone="warn" title="Open it to read them" />
      ) : (
        ""
      ),
  };
}
