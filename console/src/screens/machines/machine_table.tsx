// The list itself: the shell's table with the chosen columns, or cards where the page is narrow.

import { useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { go } from "../../app/router";
import { StateBadge } from "../../ui/status";
import { Table, type Column, type SortOrder } from "../../ui/table";
import { Time, Truncated } from "../../ui/values";
import { MachineCell, machineUrl, NameCell } from "./cells";
import type { CellValue, MachineColumn } from "./columns";
import type { MachineRow } from "./row";
import { chosen } from "./selection";

const NARROW = "(max-width: 40rem)";

/** Whether the page is so narrow that machines are cards. */
export function useNarrow(): boolean {
  const isNarrow = useSignal(window.matchMedia(NARROW).matches);
  useEffect(() => {
    const media = window.matchMedia(NARROW);
    const follow = (): void => {
      isNarrow.value = media.matches;
    };
    media.addEventListener("change", follow);
    return () => media.removeEventListener("change", follow);
  }, []);
  return isNarrow.value;
}

const sortValue = (column: MachineColumn, row: MachineRow): CellValue =>
  column.kind === "progress" ? (row.status?.cursor ?? null) : column.read(row);

function tableColumn(column: MachineColumn): Column<MachineRow> {
  const isWide = column.key === "status.reason" || column.key === "problems";
  return {
    key: column.key,
    title: column.title,
    value: (row) => sortValue(column, row),
    render: (row) => <MachineCell row={row} column={column} />,
    width: isWide ? `minmax(${column.width}px, 1fr)` : `${column.width}px`,
    sort: column.isSortable,
    ...(column.kind === "count" ? { align: "end" as const } : {}),
  };
}

function MachineCard({
  row,
  columns,
}: {
  row: MachineRow;
  columns: readonly MachineColumn[];
}): JSX.Element {
  const { status } = row;
  const shown = new Set(["name", "status.state", "status.reason", "status.since"]);
  const facts = columns.filter((column) => !shown.has(column.key)).slice(0, 3);
  return (
    <div class="machine-card">
      <NameCell row={row} />
      {status?.state !== undefined && <StateBadge state={status.state} />}
      {status?.reason !== undefined && status.reason !== "" && (
        <span class="wide">
          <Truncated text={status.reason} />
        </span>
      )}
      <span class="wide facts">
        {status?.since !== undefined && <Time at={status.since} />}
        {facts.map((column) => (
          <MachineCell key={column.key} row={row} column={column} />
        ))}
      </span>
    </div>
  );
}

function cardColumn(columns: readonly MachineColumn[]): Column<MachineRow> {
  return {
    key: "name",
    title: "Machine",
    value: (row) => row.name,
    render: (row) => <MachineCard row={row} columns={columns} />,
    width: "minmax(0, 1fr)",
  };
}

interface TableProps {
  rows: ReadonlySignal<readonly MachineRow[]>;
  columns: readonly MachineColumn[];
  sort: Signal<SortOrder | undefined>;
  tools: ComponentChildren;
  empty: ComponentChildren;
}

export function MachineTable({ rows, columns, sort, tools, empty }: TableProps): JSX.Element {
  const isNarrow = useNarrow();
  const key = columns.map((column) => column.key).join(",");
  const shown = useMemo(
    () => (isNarrow ? [cardColumn(columns)] : columns.map(tableColumn)),
    [key, isNarrow],
  );
  return (
    <div class={isNarrow ? "machines-list machines-narrow" : "machines-list"}>
      <Table<MachineRow>
        key={`${key} ${isNarrow}`}
        name="machines"
        label="Machines"
        columns={shown}
        rows={rows}
        rowKey={(row) => row.id}
        onOpen={(row) => go(machineUrl(row))}
        selection={chosen}
        sort={sort}
        tools={tools}
        choosesColumns={false}
        empty={empty}
      />
    </div>
  );
}
