// The machine list. All that somebody may want to share is in the URL: filter, order, columns, the open
// dialog.

import { useComputed, useSignal, useSignalEffect, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { JSX } from "preact";
import { location, setQuery } from "../../app/router";
import type { Command, Screen } from "../../app/screen";
import { may } from "../../app/session";
import { useCollection, type Collection } from "../../live/collection";
import { Button } from "../../ui/button";
import { FilterBar } from "../../ui/filter-bar";
import { PageHeader } from "../../ui/page";
import { Empty, Loading, Problem } from "../../ui/status";
import { parseSort, sortText, type SortOrder } from "../../ui/table";
import { BulkDialog } from "./bulk/dialog";
import type { BulkTarget } from "./bulk/target";
import { ACTIONS, actionOf, type BulkAction } from "./bulk/verbs";
import { ColumnDialog } from "./column_dialog";
import {
  columnsOf,
  DEFAULT_COLUMNS,
  fieldsOf,
  formatColumns,
  parseColumns,
  type MachineColumn,
} from "./columns";
import { CreateMachine } from "./create_dialog";
import { ExportMenu } from "./export_menu";
import {
  countMachines,
  describeFilter,
  filterQuery,
  filterText,
  filterTerms,
  PAGE_WORDS,
  type FilterTerm,
} from "./filters";
import { MachineTable } from "./machine_table";
import "./machines.css";
import type { MachineRow } from "./row";
import { DEFAULT_SORT } from "./saved_views";
import { chosen, clearSelection, isAllMatching, openAction, useSelectionOf } from "./selection";
import { SelectionBar } from "./selection_bar";
import { ViewsBar } from "./views_bar";

const closeDialog = (): void => setQuery({ dialog: undefined }, { replace: true });
const openDialog = (dialog: string): void => setQuery({ dialog });

/** The order of the URL as a signal for the table, which may change it. */
function useSort(): Signal<SortOrder | undefined> {
  const text = location.value.query.get("sort") ?? DEFAULT_SORT;
  const [first = DEFAULT_SORT] = text.split(",");
  const sort = useSignal<SortOrder | undefined>(parseSort(first));
  useEffect(() => {
    if (sortText(sort.peek()) !== first) sort.value = parseSort(first);
  }, [first]);
  useSignalEffect(() => {
    const wanted = sortText(sort.value) ?? DEFAULT_SORT;
    const [shown = DEFAULT_SORT] = (location.peek().query.get("sort") ?? DEFAULT_SORT).split(",");
    if (wanted !== shown)
      setQuery({ sort: wanted === DEFAULT_SORT ? undefined : wanted }, { replace: true });
  });
  return sort;
}

interface PageState {
  query: URLSearchParams;
  terms: readonly FilterTerm[];
  columns: readonly MachineColumn[];
  sort: string;
}

function readPage(query: URLSearchParams): PageState {
  const sort = query.get("sort") ?? DEFAULT_SORT;
  return { query, terms: filterTerms(query), columns: parseColumns(query.get("columns")), sort };
}

function Machines(): JSX.Element {
  const page = readPage(location.value.query);
  const filter = filterText(page.terms);
  const fields = fieldsOf(page.columns, page.sort);
  useSelectionOf(filter);
  // Columns that need no other fields, and the order of the columns, do not read the list again.
  const wanted = useMemo(() => filterQuery(page.terms), [filter]);
  const list = useCollection<MachineRow>("machines", {
    fields: [...fields].sort(),
    filter: wanted,
    sort: page.sort,
  });
  return (
    <div class={isAllMatching.value ? "machines-page machines-all" : "machines-page"}>
      <Header page={page} list={list} />
      <ViewsBar
        query={page.query}
        isSaving={page.query.get("dialog") === "save"}
        onSave={() => openDialog("save")}
        onSaved={closeDialog}
      />
      <div>
        <FilterBar list="machines" reserved={PAGE_WORDS} />
      </div>
      <SelectionBar total={list.total.value} terms={page.terms} />
      <List page={page} list={list} />
      <PageDialogs page={page} list={list} />
    </div>
  );
}

interface PartProps {
  page: PageState;
  list: Collection<MachineRow>;
}

function Header({ page, list }: PartProps): JSX.Element {
  const filter = describeFilter(page.terms);
  const total = list.total.value;
  const words = filter === "" ? countMachines(total) : `${countMachines(total)} with ${filter}`;
  return (
    <PageHeader
      title="Machines"
      subtitle={list.state.value === "loading" && total === 0 ? "reading" : words}
      actions={
        <>
          <Button icon="columns" onClick={() => openDialog("columns")}>
            Columns
          </Button>
          <ExportMenu columns={page.columns} terms={page.terms} sort={page.sort} />
          {may("machines:write") && (
            <Button kind="primary" icon="plus" onClick={() => openDialog("create")}>
              New machine
            </Button>
          )}
        </>
      }
    />
  );
}

function List({ page, list }: PartProps): JSX.Element {
  const sort = useSort();
  const { state, problem, rows } = list;
  const failed = problem.value;
  const isEmpty = useComputed(() => rows.value.length === 0);
  if (failed !== undefined && isEmpty.value) {
    return <Problem problem={failed} onRetry={list.reload} />;
  }
  if (state.value === "loading" && isEmpty.value) {
    return <Loading label="Reading the machines" height={400} />;
  }
  const empty = <NoMachines isFiltered={page.terms.length > 0} />;
  return (
    <>
      {failed !== undefined && <Problem problem={failed} onRetry={list.reload} />}
      <MachineTable
        rows={rows}
        columns={page.columns}
        sort={sort}
        tools={<ListState list={list} />}
        empty={empty}
      />
    </>
  );
}

/** How much of the list is there. */
function ListState({ list }: { list: Collection<MachineRow> }): JSX.Element {
  const [shown, total] = [list.rows.value.length, list.total.value];
  const count = list.isWhole.value
    ? countMachines(total)
    : `${shown.toLocaleString("en")} of ${countMachines(total)} are read`;
  const picked = chosen.value.size;
  return (
    <span class="muted" role="status">
      {isAllMatching.value
        ? `${count}, all chosen`
        : picked > 0
          ? `${count}, ${picked.toLocaleString("en")} chosen`
          : count}
    </span>
  );
}

function NoMachines({ isFiltered }: { isFiltered: boolean }): JSX.Element {
  return isFiltered ? (
    <Empty
      title="No machine passes this filter"
      actions={<Button onClick={() => clearFilter()}>Show all machines</Button>}
    >
      Machines that begin to match appear here by themselves.
    </Empty>
  ) : (
    <Empty
      title="There are no machines yet"
      actions={
        <Button kind="primary" icon="plus" onClick={() => openDialog("create")}>
          New machine
        </Button>
      }
    >
      Create one with its MAC address, or register a client that asked to boot (Networks, clients heard).
    </Empty>
  );
}

function clearFilter(): void {
  const names = filterTerms(location.peek().query).map((term) => term.name);
  setQuery(Object.fromEntries(names.map((name) => [name, undefined])));
}

function PageDialogs({ page, list }: PartProps): JSX.Element | null {
  const dialog = page.query.get("dialog");
  const action = actionOf(openAction.value ?? "");
  if (action !== undefined) {
    return <OpenBulk key={action.id} action={action} page={page} list={list} />;
  }
  switch (dialog) {
    case "create":
      return <CreateMachine onClose={closeDialog} />;
    case "columns":
      return (
        <ColumnDialog
          columns={page.columns}
          onChange={(columns) =>
            setQuery({ columns: formatColumns(columns) ?? undefined }, { replace: true })
          }
          onClose={closeDialog}
        />
      );
    default:
      return null;
  }
}

/** The dialog of an action on what is chosen at the moment when it opens. */
function OpenBulk({ action, page, list }: PartProps & { action: BulkAction }): JSX.Element | null {
  const { target, count } = useMemo(() => targetOf(page, list.rows, list.total.peek()), []);
  const close = (): void => {
    openAction.value = undefined;
  };
  useEffect(() => (count === 0 ? close() : undefined), []);
  return count === 0 ? null : <BulkDialog action={action} target={target} count={count} onClose={close} />;
}

function targetOf(
  page: PageState,
  rows: ReadonlySignal<readonly MachineRow[]>,
  total: number,
): { target: BulkTarget; count: number } {
  if (isAllMatching.peek()) {
    return { target: { kind: "matching", terms: page.terms }, count: total };
  }
  const picked = chosen.peek();
  const machines = rows.peek().filter((row) => picked.has(row.id));
  return {
    target: { kind: "chosen", machines, outside: picked.size - machines.length },
    count: picked.size,
  };
}

const hasSelection = (): boolean => isAllMatching.value || chosen.value.size > 0;

function commands(): Command[] {
  const page: Command[] = [
    {
      id: "machines.create",
      title: "New machine",
      run: () => openDialog("create"),
      enabled: () => may("machines:write"),
    },
    { id: "machines.columns", title: "Choose the columns of the list", run: () => openDialog("columns") },
    { id: "machines.default_columns", title: "Show the default columns", run: showDefaultColumns },
    {
      id: "machines.save",
      title: "Save this view",
      run: () => openDialog("save"),
      enabled: () => may("views:write"),
    },
    {
      id: "machines.all",
      title: "Choose all machines that match",
      run: () => void (isAllMatching.value = true),
    },
    { id: "machines.none", title: "Choose no machine", run: clearSelection, enabled: hasSelection },
  ];
  const actions = ACTIONS.map((action): Command => ({
    id: `machines.${action.id}`,
    title: `Chosen machines: ${action.title}`,
    run: () => void (openAction.value = action.id),
    enabled: () => hasSelection() && may("machines:write"),
  }));
  return [...page, ...actions];
}

const showDefaultColumns = (): void =>
  setQuery({ columns: formatColumns(columnsOf(DEFAULT_COLUMNS)) ?? undefined });

export const screens: Screen[] = [
  {
    path: "/machines",
    title: () => "Machines",
    nav: { label: "Machines", group: "Fleet", order: 1, icon: "machines" },
    needs: "machines:read",
    key: "m",
    view: Machines,
    commands,
  },
];
