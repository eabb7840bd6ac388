// Which rows of a long list are drawn; pure.

export interface RowWindow {
  first: number;
  /** Behind the last drawn row. */
  end: number;
}

/** The rows in view and some around them, so that scrolling shows no gap. */
export function rowWindow(scrollTop: number, height: number, rowHeight: number, count: number): RowWindow {
  const margin = 8;
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - margin);
  const end = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + margin);
  return { first: Math.min(first, count), end: Math.max(end, 0) };
}

/** Where to scroll so that a row is in view; the present position if it is. */
export function scrollToRow(row: number, scrollTop: number, height: number, rowHeight: number): number {
  const top = row * rowHeight;
  if (top < scrollTop) return top;
  if (top + rowHeight > scrollTop + height) return top + rowHeight - height;
  return scrollTop;
}

/** A selection: keys, and where a range with Shift begins. */
export interface Selection {
  keys: ReadonlySet<string>;
  anchor: number;
}

/** The selection after a click or a key at a row. */
export function select(
  keys: readonly string[],
  before: Selection,
  at: number,
  how: "one" | "toggle" | "range",
): Selection {
  const key = keys[at];
  if (key === undefined) return before;
  if (how === "one") return { keys: new Set([key]), anchor: at };
  if (how === "toggle") {
    const next = new Set(before.keys);
    if (!next.delete(key)) next.add(key);
    return { keys: next, anchor: at };
  }
  const from = Math.min(Math.max(before.anchor, 0), at);
  const to = Math.max(before.anchor, at);
  return { keys: new Set([...before.keys, ...keys.slice(from, to + 1)]), anchor: before.anchor };
}
