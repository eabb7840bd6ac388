// A table of any length: only the rows in view exist in the page. Keyboard: arrows, Page, Home and End move,
// Space and Shift select, Ctrl-A selects all rows, Enter opens.

import { useComputed, useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { compareValues } from "../live/merge";
import { readStored, writeStored } from "../style/theme";
import { Menu, type MenuItem } from "./dialog";
import { Icon } from "./icons";
import { rowWindow, scrollToRow, select, type Selection } from "./window";
import "./table.css";

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

/** Where tables were scrolled to, by name; kept while the page lives. */
const positions = new Map<string, number>();

export function Table<T>(props: TableProps<T>): JSX.Element {
  const { columns, rows } = props;
  const ownSort = useSignal<SortOrder | undefined>(undefined);
  const sort = props.sort ?? ownSort;
  const chosen = useChosenColumns(props.name, columns);
  const shown = useShownColumns(columns, chosen);
  const sorted = useComputed(() => sortRows(rows.value, columns, sort.value));
  const state = useTableState<T>(props, sorted);
  const template = [props.selection ? "32px" : "", ...shown.map((column) => column.width)].join(" ");
  useEffect(() => forgetGone(props, rows.value), [rows.value]);
  return (
    <div class="table-frame">
      {(props.tools || props.choosesColumns !== false) && (
        <div class="table-tools">
          <div class="grow row">{props.tools}</div>
          {props.choosesColumns !== false && (
            <ColumnMenu columns={columns} chosen={chosen} name={props.name} />
          )}
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
        {sorted.value.length === 0 && props.empty}
      </div>
    </div>
  );
}

function sortRows<T>(
  rows: readonly T[],
  columns: ReadonlyArray<Column<T>>,
  order: SortOrder | undefined,
): readonly T[] {
  const column = order && columns.find((one) => one.key === order.key);
  if (!order || !column) return rows;
  const keyed = rows.map((row) => ({ row, value: column.value(row) }));
  const isAbsent = (value: unknown) => value === undefined || value === null || value === "";
  keyed.sort((a, b) => {
    const sign = order.descending && !isAbsent(a.value) && !isAbsent(b.value) ? -1 : 1;
    return sign * compareValues(a.value, b.value);
  });
  return keyed.map(({ row }) => row);
}

/** Rows that left are selected no longer. */
function forgetGone<T>({ selection, rowKey }: TableProps<T>, rows: readonly T[]): void {
  if (!selection || selection.peek().size === 0) return;
  const present = new Set(rows.map(rowKey));
  const kept = [...selection.peek()].filter((key) => present.has(key));
  if (kept.length !== selection.peek().size) selection.value = new Set(kept);
}

const columnsKey = (name: string): string => `metalwright.columns.${name}`;

function useChosenColumns<T>(name: string, columns: ReadonlyArray<Column<T>>): Signal<ReadonlySet<string>> {
  return useSignal<ReadonlySet<string>>(
    useMemo(() => {
      const stored = readStored(columnsKey(name))
        ?.split(",")
        .filter((key) => columns.some((one) => one.key === key));
      return new Set(
        stored && stored.length > 0 ? stored : columns.filter((one) => !one.optional).map((one) => one.key),
      );
    }, [name]),
  );
}

const pageWidth = (): number => document.documentElement.clientWidth;

function useShownColumns<T>(
  columns: ReadonlyArray<Column<T>>,
  chosen: Signal<ReadonlySet<string>>,
): ReadonlyArray<Column<T>> {
  const width = useSignal(pageWidth());
  useEffect(() => {
    const measure = () => {
      width.value = pageWidth();
    };
    window.addEventListener("resize", measure);
    return () => window.removeEventListener("resize", measure);
  }, []);
  return columns.filter((one) => chosen.value.has(one.key) && width.value >= (one.minPage ?? 0));
}

function ColumnMenu<T>({
  columns,
  chosen,
  name,
}: {
  columns: ReadonlyArray<Column<T>>;
  chosen: Signal<ReadonlySet<string>>;
  name: string;
}): JSX.Element {
  const toggle = (key: string) => {
    const next = new Set(chosen.value);
    if (!next.delete(key)) next.add(key);
    if (next.size === 0) return;
    chosen.value = next;
    writeStored(columnsKey(name), [...next].join(","));
  };
  const items = columns.map((column): MenuItem => ({
    id: column.key,
    label: column.title,
    checked: chosen.value.has(column.key),
    run: () => toggle(column.key),
  }));
  return <Menu label="Columns" icon="columns" compact align="end" stays items={items} />;
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

interface TableState<T> {
  scroller: { current: HTMLDivElement | null };
  top: Signal<number>;
  height: Signal<number>;
  rowHeight: Signal<number>;
  active: Signal<number>;
  activeId: ReadonlySignal<string | undefined>;
  idOf: (index: number) => string;
  onKey: (event: KeyboardEvent) => void;
  onScroll: () => void;
  onPick: (index: number, event: MouseEvent) => void;
  onToggle: (index: number) => void;
  open: (row: T) => void;
}

function useTableState<T>(props: TableProps<T>, sorted: ReadonlySignal<readonly T[]>): TableState<T> {
  const scroller = useRef<HTMLDivElement>(null);
  const [top, height, rowHeight, active] = [useSignal(0), useSignal(600), useSignal(34), useSignal(0)];
  const anchor = useRef(0);
  const latest = useRef(props);
  latest.current = props;
  useMeasures(props.name, scroller, { top, height, rowHeight }, sorted);
  const idOf = (index: number) => `${props.name}-row-${index}`;
  const activeId = useComputed(() => (sorted.value.length > 0 ? idOf(active.value) : undefined));
  return useMemo(() => {
    const pick = (index: number, how: "one" | "toggle" | "range") => {
      active.value = index;
      const { selection, rowKey } = latest.current;
      if (!selection) return;
      const before: Selection = { keys: selection.peek(), anchor: anchor.current };
      const after = select(sorted.peek().map(rowKey), before, index, how);
      selection.value = after.keys;
      anchor.current = after.anchor;
    };
    const open = (row: T) => latest.current.onOpen?.(row);
    const show = (index: number) => {
      const element = scroller.current;
      if (!element) return;
      const room = element.clientHeight - rowHeight.peek();
      element.scrollTop = scrollToRow(index, element.scrollTop, room, rowHeight.peek());
    };
    const onKey = (event: KeyboardEvent) =>
      handleKey(event, {
        count: sorted.peek().length,
        active,
        page: Math.max(1, Math.floor(height.peek() / rowHeight.peek()) - 2),
        pick,
        show,
        openActive: () => {
          const row = sorted.peek()[active.peek()];
          if (row !== undefined) open(row);
        },
        selectAll: () => {
          const { selection, rowKey } = latest.current;
          if (selection) selection.value = new Set(sorted.peek().map(rowKey));
        },
        clear: () => {
          const { selection } = latest.current;
          if (selection) selection.value = new Set();
        },
        canSelect: latest.current.selection !== undefined,
      });
    const onScroll = () => {
      const element = scroller.current;
      if (!element) return;
      top.value = element.scrollTop;
      positions.set(latest.current.name, element.scrollTop);
    };
    const onPick = (index: number, event: MouseEvent) => {
      pick(index, event.shiftKey ? "range" : event.ctrlKey || event.metaKey ? "toggle" : "one");
    };
    const onToggle = (index: number) => pick(index, "toggle");
    return {
      scroller,
      top,
      height,
      rowHeight,
      active,
      activeId,
      idOf,
      onKey,
      onScroll,
      onPick,
      onToggle,
      open,
    };
  }, [sorted]);
}

function useMeasures<T>(
  name: string,
  scroller: { current: HTMLDivElement | null },
  into: { top: Signal<number>; height: Signal<number>; rowHeight: Signal<number> },
  sorted: ReadonlySignal<readonly T[]>,
): void {
  const isRestored = useRef(false);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => {
      into.height.value = element.clientHeight;
      const size = Number.parseFloat(getComputedStyle(element).getPropertyValue("--row"));
      if (size > 0) into.rowHeight.value = size;
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const wanted = positions.get(name);
    if (isRestored.current || sorted.value.length === 0 || !scroller.current) return;
    isRestored.current = true;
    if (wanted) scroller.current.scrollTop = wanted;
  }, [sorted.value.length > 0]);
}

interface KeyContext {
  count: number;
  page: number;
  active: Signal<number>;
  canSelect: boolean;
  pick: (index: number, how: "one" | "toggle" | "range") => void;
  show: (index: number) => void;
  openActive: () => void;
  selectAll: () => void;
  clear: () => void;
}

const STEPS: Record<string, (at: number, page: number, count: number) => number> = {
  ArrowDown: (at) => at + 1,
  ArrowUp: (at) => at - 1,
  PageDown: (at, page) => at + page,
  PageUp: (at, page) => at - page,
  Home: () => 0,
  End: (_at, _page, count) => count - 1,
};

function handleKey(event: KeyboardEvent, context: KeyContext): void {
  const isOwn = event.target === event.currentTarget;
  const at = context.active.peek();
  const step = STEPS[event.key];
  if (step && context.count > 0 && !event.altKey) {
    const next = Math.max(0, Math.min(context.count - 1, step(at, context.page, context.count)));
    if (event.shiftKey && context.canSelect) context.pick(next, "range");
    else context.active.value = next;
    context.show(next);
  } else if (event.key === " " && isOwn && context.canSelect)
    context.pick(at, event.shiftKey ? "range" : "toggle");
  else if (event.key === "Enter" && isOwn) context.openActive();
  else if (event.key === "a" && (event.ctrlKey || event.metaKey) && context.canSelect) context.selectAll();
  else if (event.key === "Escape" && context.canSelect) context.clear();
  else return;
  event.preventDefault();
}

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
  const rows = sorted.value;
  const size = state.rowHeight.value;
  const { first, end } = rowWindow(state.top.value, state.height.value, size, rows.length);
  const drawn = [];
  for (let index = first; index < end; index += 1) {
    const row = rows[index];
    if (row === undefined) continue;
    const key = props.rowKey(row);
    const isSelected = props.selection?.value.has(key);
    drawn.push(
      <div
        key={key}
        id={state.idOf(index)}
        class={index === state.active.value ? "table-row active" : "table-row"}
        role="row"
        aria-rowindex={index + 2}
        aria-selected={props.selection ? isSelected : undefined}
        style={{ transform: `translateY(${index * size}px)`, gridTemplateColumns: template }}
        onClick={(event) => pickByMouse(event, index, state)}
        onDblClick={() => state.open(row)}
      >
        {props.selection && (
          <div class="cell select-cell" role="gridcell">
            <input
              type="checkbox"
              tabIndex={-1}
              checked={isSelected}
              aria-label={`Select ${key}`}
              onChange={() => state.onToggle(index)}
            />
          </div>
        )}
        {columns.map((column) => (
          <div key={column.key} class={`cell ${column.align ?? ""}`} role="gridcell">
            {column.render ? column.render(row) : plainCell(column.value(row))}
          </div>
        ))}
      </div>,
    );
  }
  return (
    <div class="table-body" role="rowgroup" style={{ height: `${rows.length * size}px` }}>
      {drawn}
    </div>
  );
}

/** A click on a link or a box of a row is theirs. */
function pickByMouse<T>(event: MouseEvent, index: number, state: TableState<T>): void {
  if (event.target instanceof Element && event.target.closest("a, button, input")) return;
  state.onPick(index, event);
}

function plainCell(value: string | number | boolean | null | undefined): JSX.Element {
  if (value === null || value === undefined || value === "") return <span class="muted">–</span>;
  const text = String(value);
  return <span title={text}>{text}</span>;
}
