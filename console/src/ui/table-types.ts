// What a table takes.

import type { ReadonlySignal, Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

export interface Column<T> {
  key: string;
  title: string;
  /** For sorting, and shown where `render` is absent. */
  value: (row: T) => string | number | boolean | null | undefined;
  render?: (row: T) => ComponentChildren;
  /** As CSS: `160px`, `minmax(120px, 1fr)`. */
  width: string;
  /** `false` where the column cannot be sorted by. */
  sort?: boolean;
  align?: "start" | "end";
  /** Not shown until it is chosen. */
  optional?: boolean;
  /** Not shown where the page is narrower, in CSS pixels. */
  minPage?: number;
}

export interface SortOrder {
  key: string;
  descending: boolean;
}

export interface TableProps<T> {
  /** Names the table for screen readers, and remembers its columns and position. */
  name: string;
  label: string;
  columns: ReadonlyArray<Column<T>>;
  rows: ReadonlySignal<readonly T[]>;
  rowKey: (row: T) => string;
  onOpen?: (row: T) => void;
  /** The keys that are selected; without it nothing can be. */
  selection?: Signal<ReadonlySet<string>>;
  /** The order that the rows have or get; without it the table keeps its own. */
  sort?: Signal<SortOrder | undefined>;
  /** What stands to the left of the menu of columns. */
  tools?: ComponentChildren;
  /** As CSS; 68 % of the window when it is not given. */
  height?: string;
  empty?: ComponentChildren;
  /** For a list whose rows move all the time: what is drawn at a place is changed, and not made anew. */
  byPlace?: boolean;
  /** Whether the columns can be chosen; true unless said. */
  choosesColumns?: boolean;
}

/** `-updated_at` as an order, and back. */
export function parseSort(text: string | null | undefined): SortOrder | undefined {
  if (!text) return undefined;
  return { key: text.replace(/^-/, ""), descending: text.startsWith("-") };
}

export const sortText = (order: SortOrder | undefined): string | undefined =>
  order && (order.descending ? `-${order.key}` : order.key);
