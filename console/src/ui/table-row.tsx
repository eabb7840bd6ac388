// A row of a table. It is drawn again only when it, its place or its columns change.

import { type Signal } from "@preact/signals";
import { Component, type JSX } from "preact";
import type { TableState } from "./table-state";
import type { Column } from "./table-types";

export interface TableRowProps<T> {
  row: T;
  index: number;
  columns: ReadonlyArray<Column<T>>;
  template: string;
  state: TableState<T>;
  selection: Signal<ReadonlySet<string>> | undefined;
  rowKey: (row: T) => string;
  /** What the row is called. */
  name: string;
}

const isSameList = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((item, index) => item === b[index]);

export class TableRow<T> extends Component<TableRowProps<T>> {
  override shouldComponentUpdate(next: TableRowProps<T>): boolean {
    const { row, index, template, state, selection, columns } = this.props;
    const isSame =
      row === next.row &&
      index === next.index &&
      template === next.template &&
      state === next.state &&
      selection === next.selection &&
      isSameList(columns, next.columns);
    return !isSame;
  }

  override render(): JSX.Element {
    return <RowContent<T> {...this.props} />;
  }
}

function RowContent<T>({
  row,
  index,
  columns,
  template,
  state,
  selection,
  rowKey,
  name,
}: TableRowProps<T>): JSX.Element {
  const isSelected = selection?.value.has(rowKey(row));
  const top = index * state.rowHeight.value;
  return (
    <div
      id={state.idOf(index)}
      class={index === state.active.value ? "table-row active" : "table-row"}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={selection ? isSelected : undefined}
      style={{ transform: `translateY(${top}px)`, gridTemplateColumns: template }}
      onClick={(event) => pickByMouse(event, index, state)}
      onDblClick={() => state.open(row)}
    >
      {selection && (
        <div class="cell select-cell" role="gridcell">
          <input
            type="checkbox"
            tabIndex={-1}
            checked={isSelected}
            aria-label={`Select ${name}`}
            onChange={() => state.onToggle(index)}
          />
        </div>
      )}
      {columns.map((column) => (
        <div key={column.key} class={`cell ${column.align ?? ""}`} role="gridcell">
          {column.render ? column.render(row) : plainCell(column.value(row))}
        </div>
      ))}
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
