// Saved views: where one is opened. Pure.

import { listPath } from "./links";

export interface ViewRow {
  name: string;
  kind: string;
  query: string;
  columns: string[];
  description?: string;
  updated_at: string;
}

/** Where a view is opened. The console says `by` for the API's `actor`. */
export function viewPath(view: Pick<ViewRow, "kind" | "query" | "columns">): string {
  const query = new URLSearchParams(view.query);
  if (view.kind === "events") {
    const actor = query.get("actor");
    query.delete("actor");
    query.delete("order");
    if (actor) query.set("by", actor.replace(/^token:/, ""));
  } else if (view.columns.length > 0) query.set("columns", view.columns.join(","));
  const text = query.toString();
  return listPath(view.kind) + (text ? `?${text}` : "");
}
