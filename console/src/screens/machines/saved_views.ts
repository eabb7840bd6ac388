// Saved views of the machine list: their addresses, and which one the page shows; pure.

import { DEFAULT_COLUMNS, columnsOf, formatColumns } from "./columns";
import { filterTerms, type FilterTerm } from "./filters";

export interface SavedView {
  name: string;
  kind: string;
  query: string;
  columns: string[];
  description?: string;
  revision?: number;
}

export const DEFAULT_SORT = "name";

/** The views that every server has. */
export const BUILT_IN_VIEWS: readonly SavedView[] = [
  { name: "All", kind: "machines", query: "", columns: [], description: "All machines" },
  {
    name: "Failed or held",
    kind: "machines",
    query: "status.state[in]=failed,held&sort=status.since",
    columns: [],
    description: "What stopped until somebody looks, the oldest first",
  },
  {
    name: "Under way",
    kind: "machines",
    query: "status.state[in]=waiting,booting,running",
    columns: [],
    description: "Machines in a run that goes on",
  },
  {
    name: "Overdue",
    kind: "machines",
    query: "status.waiting.overdue=true",
    columns: [],
    description: "The usual time has passed",
  },
  {
    name: "Armed",
    kind: "machines",
    query: "status.armed_until[exists]=true",
    columns: [
      "name",
      "status.state",
      "status.armed_until",
      "status.erases",
      "status.run.workflow",
      "status.reason",
    ],
    description: "The next boot may erase a disk",
  },
];

/** The page's query for a view. */
export function viewQuery(view: SavedView): string {
  const query = new URLSearchParams(view.query);
  const columns = view.columns.length === 0 ? null : formatColumns(columnsOf(view.columns));
  if (columns !== null) {
    query.set("columns", columns);
  }
  return query.toString();
}

export function viewUrl(view: SavedView): string {
  const query = viewQuery(view);
  return query === "" ? "/machines" : `/machines?${query}`;
}

/** A query in a form that is the same for the same list. */
function normalForm(query: URLSearchParams): string {
  const terms = filterTerms(query)
    .map(({ name, value }) => `${name}=${value}`)
    .sort();
  const columns = query.get("columns") ?? DEFAULT_COLUMNS.join(",");
  return [...terms, query.get("sort") ?? DEFAULT_SORT, columns].join("\n");
}

/** Whether the page shows this view. */
export function isShown(view: SavedView, query: URLSearchParams): boolean {
  return normalForm(new URLSearchParams(viewQuery(view))) === normalForm(query);
}

/** The body that saves what the page shows. */
export function viewOf(name: string, description: string, query: URLSearchParams): SavedView {
  const kept: FilterTerm[] = filterTerms(query);
  const sort = query.get("sort");
  const parts = new URLSearchParams(kept.map((term) => [term.name, term.value]));
  if (sort !== null && sort !== "") {
    parts.set("sort", sort);
  }
  const columns = (query.get("columns") ?? "").split(",").filter((key) => key !== "");
  return {
    name: name.trim(),
    kind: "machines",
    query: parts.toString(),
    columns,
    description: description.trim(),
  };
}
