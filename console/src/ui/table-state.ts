// What a table knows while it is shown: its order, where it is scrolled to, the active row, and its keys.

import { computed, useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { compareValues, isAbsent } from "../live/merge";
import type { Column, SortOrder, TableProps } from "./table-types";
import { rowWindow, scrollToRow, select, type Selection } from "./window";

/** Where tables were scrolled to, by name; kept while the page lives. */
const positions = new Map<string, number>();

export function sortByColumn<T>(
  rows: readonly T[],
  columns: ReadonlyArray<Column<T>>,
  order: SortOrder | undefined,
): readonly T[] {
  const column = order && columns.find((one) => one.key === order.key);
  if (!order || !column) return rows;
  const keyed = rows.map((row) => ({ row, value: column.value(row) }));
  keyed.sort((a, b) => {
    const sign = order.descending && !isAbsent(a.value) && !isAbsent(b.value) ? -1 : 1;
    return sign * compareValues(a.value, b.value);
  });
  return keyed.map(({ row }) => row);
}

/** Rows that left are selected no longer. */
export function forgetGone<T>({ selection, rowKey }: TableProps<T>, rows: readonly T[]): void {
  if (!selection || selection.peek().size === 0) return;
  const present = new Set(rows.map(rowKey));
  const kept = [...selection.peek()].filter((key) => present.has(key));
  if (kept.length !== selection.peek().size) selection.value = new Set(kept);
}

export interface TableState<T> {
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

export function useTableState<T>(
  props: TableProps<T>,
  sorted: ReadonlySignal<readonly T[]>,
): TableState<T> {
  const scroller = useRef<HTMLDivElement>(null);
  const [top, height, rowHeight, active] = [useSignal(0), useSignal(600), useSignal(34), useSignal(0)];
  const anchor = useRef(0);
  const latest = useRef(props);
  latest.current = props;
  useMeasures(props.name, scroller, { top, height, rowHeight }, sorted);
  return useMemo(() => {
    const idOf = (index: number) => `${latest.current.name}-row-${index}`;
    const activeId = computed(() => {
      const { first, end } = rowWindow(top.value, height.value, rowHeight.value, sorted.value.length);
      return active.value >= first && active.value < end ? idOf(active.value) : undefined;
    });
    const base = { scroller, top, height, rowHeight, active, activeId, idOf };
    return {
      ...base,
      ...actionsOf<T>({ latest, anchor, sorted, scroller, top, height, rowHeight, active }),
    };
  }, [sorted]);
}

interface TableParts<T> {
  latest: { current: TableProps<T> };
  anchor: { current: number };
  sorted: ReadonlySignal<readonly T[]>;
  scroller: { current: HTMLDivElement | null };
  top: Signal<number>;
  height: Signal<number>;
  rowHeight: Signal<number>;
  active: Signal<number>;
}

type TableActions<T> = Pick<TableState<T>, "onKey" | "onScroll" | "onPick" | "onToggle" | "open">;

function actionsOf<T>(parts: TableParts<T>): TableActions<T> {
  const { latest, anchor, sorted, scroller, top, height, rowHeight, active } = parts;
  const choose = (keys: ReadonlySet<string>) => {
    const { selection } = latest.current;
    if (selection) selection.value = keys;
  };
  const allKeys = () => sorted.peek().map(latest.current.rowKey);
  const pick = (index: number, how: "one" | "toggle" | "range") => {
    active.value = index;
    const { selection } = latest.current;
    if (!selection) return;
    const before: Selection = { keys: selection.peek(), anchor: anchor.current };
    const after = select(allKeys(), before, index, how);
    choose(after.keys);
    anchor.current = after.anchor;
  };
  const open = (row: T) => latest.current.onOpen?.(row);
  const show = (index: number) => {
    const element = scroller.current;
    if (!element) return;
    const room = element.clientHeight - rowHeight.peek();
    element.scrollTop = scrollToRow(index, element.scrollTop, room, rowHeight.peek());
  };
  const openActive = () => {
    const row = sorted.peek()[active.peek()];
    if (row !== undefined) open(row);
  };
  const context = (): KeyContext => ({
    count: sorted.peek().length,
    page: Math.max(1, Math.floor(height.peek() / rowHeight.peek()) - 2),
    active,
    pick,
    show,
    openActive,
    selectAll: () => choose(new Set(allKeys())),
    clear: () => choose(new Set()),
    canSelect: latest.current.selection !== undefined,
  });
  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    top.value = element.scrollTop;
    positions.set(latest.current.name, element.scrollTop);
  };
  const howOf = (event: MouseEvent) =>
    event.shiftKey ? "range" : event.ctrlKey || event.metaKey ? "toggle" : "one";
  return {
    onKey: (event) => handleKey(event, context()),
    onScroll,
    onPick: (index, event) => pick(index, howOf(event)),
    onToggle: (index) => pick(index, "toggle"),
    open,
  };
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
