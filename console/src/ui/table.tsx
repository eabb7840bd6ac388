// A table of any length: only the rows in view exist in the page. Keyboard: arrows, Page, Home and End move,
// Space and Shift select, Ctrl-A selects all rows, Enter opens.

import { computed, useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { Icon } from "./icons";
import { ColumnMenu, useChosenColumns, useShownColumns } from "./table-columns";
import { TableRow } from "./table-row";
import { forgetGone, sortByColumn, useTableState, type TableState } from "./table-state";
import type { Column, SortOrder, TableProps } from "./table-types";
import { rowWindow } from "./window";
import "./table.css";

export { parseSort, sortText, type Column, type SortOrder, type TableProps } from "./table-types";

/** Rows by which the drawn part moves. */
const STEP = 8;

export function Table<T>(props: TableProps<T>): JSX.Element {
  const { columns, rows } = props;
  const ownSort = useSignal<SortOrder | undefined>(undefined);
  const sort = props.sort ?? ownSort;
  const chosen = useChosenColumns(props.name, columns);
  const all = props.choosesColumns === false;
  const shown = useShownColumns(columns, chosen, all ? "all" : "chosen");
  // The list behind `rows` is another one after each change of a filter.
  const known = columns.map((column) => column.key).join();
  const sorted = useMemo(
    () => computed(() => sortByColumn(rows.value, columns, sort.value)),
    [rows, sort, known],
  );
  const state = useTableState<T>(props, sorted);
  const template = [props.selection ? "32px" : "", ...shown.map((column) => column.width)].join(" ");
  useEffect(() => forgetGone(props, rows.value), [rows.value]);
  return (
    <div class="table-frame">
      {(props.tools || !all) && (
        <div class="table-tools">
          <div class="grow row">{props.tools}</div>
          {!all && <ColumnMenu columns={columns} chosen={chosen} name={props.name} />}
        </div>
      )}
      <div
        ref={state.scroller}
        class="table"
        role="grid"
        aria-label={props.label}
        tabIndex={0}
        aria-rowcount={sorted.value.length + 1}
        aria-colcount={shown.length}
        aria-multiselectable={props.selection ? true : undefined}
        aria-activedescendant={state.activeId.value}
        onKeyDown={state.onKey}
        onScroll={state.onScroll}
        style={props.height ? { maxHeight: props.height } : undefined}
      >
        <Head
          columns={shown}
          sort={sort}
          template={template}
          selection={props.selection}
          rows={sorted}
          rowKey={props.rowKey}
        />
        <Body props={props} columns={shown} sorted={sorted} template={template} state={state} />
      </div>
      {sorted.value.length === 0 && props.empty}
    </div>
  );
}

function Head<T>({
  columns,
  sort,
  template,
  selection,
  rows,
  rowKey,
}: {
  columns: ReadonlyArray<Column<T>>;
  sort: Signal<SortOrder | undefined>;
  template: string;
  selection: Signal<ReadonlySet<string>> | undefined;
  rows: ReadonlySignal<readonly T[]>;
  rowKey: (row: T) => string;
}): JSX.Element {
  const choose = (key: string) => {
    const now = sort.peek();
    sort.value = now?.key === key ? { key, descending: !now.descending } : { key, descending: false };
  };
  const order = sort.value;
  const isAll =
    selection !== undefined && rows.value.length > 0 && selection.value.size === rows.value.length;
  return (
    <div class="table-head" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
      {selection && (
        <div class="cell select-cell" role="columnheader">
          <input
            type="checkbox"
            aria-label="Select all rows of the list"
            checked={isAll}
            tabIndex={-1}
            onChange={() => {
              selection.value = isAll ? new Set() : new Set(rows.peek().map(rowKey));
            }}
          />
        </div>
      )}
      {columns.map((column) => {
        const isSorted = order?.key === column.key;
        const direction = isSorted ? (order.descending ? "descending" : "ascending") : undefined;
        return (
          <div
            key={column.key}
            class={`cell ${column.align ?? ""}`}
            role="columnheader"
            aria-sort={direction}
          >
            {column.sort === false ? (
              <span>{column.title}</span>
            ) : (
              <button type="button" onClick={() => choose(column.key)}>
                {column.title}
                {isSorted && <Icon name={order.descending ? "down" : "up"} />}
              </button>
            )}
          </div>
        );
      })}
    </div>
  );
}

/** More than the rows that are drawn at once. */
const PLACES = 256;

/** The rows in view, in steps of some rows, so that most scrolling draws nothing. */
function Body<T>({
  props,
  columns,
  sorted,
  template,
  state,
}: {
  props: TableProps<T>;
  columns: ReadonlyArray<Column<T>>;
  sorted: ReadonlySignal<readonly T[]>;
  template: string;
  state: TableState<T>;
}): JSX.Element {
  const span = useMemo(
    () =>
      computed(() => {
        const { first, end } = rowWindow(
          state.top.value,
          state.height.value,
          state.rowHeight.value,
          sorted.value.length,
        );
        return `${Math.floor(first / STEP) * STEP}-${Math.ceil(end / STEP) * STEP}`;
      }),
    [state, sorted],
  );
  const [first = 0, end = 0] = span.value.split("-").map(Number);
  const rows = sorted.value;
  return (
    <div class="table-body" role="rowgroup" style={{ height: `${rows.length * state.rowHeight.value}px` }}>
      {rows.slice(first, end).map((row, offset) => (
        <TableRow<T>
          key={props.byPlace ? String((first + offset) % PLACES) : props.rowKey(row)}
          row={row}
          index={first + offset}
          columns={columns}
          template={template}
          state={state}
          selection={props.selection}
          rowKey={props.rowKey}
          name={nameOf(props, row)}
        />
      ))}
    </div>
  );
}

/** What a row is called: the value of its first column. */
function nameOf<T>({ columns, rowKey }: TableProps<T>, row: T): string {
  return String(columns[0]?.value(row) ?? rowKey(row));
}
