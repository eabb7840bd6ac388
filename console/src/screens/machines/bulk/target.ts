// The machines of a bulk action: those that were chosen, or all that match a filter, read at this moment.

import { api, type Page } from "../../../api/client";
import { countMachines, describeFilter, filterQuery, type FilterTerm } from "../filters";
import type { MachineRow } from "../row";

/** Most machines of one action. */
const MACHINES_MAX = 50_000;
/** Most ids in one query: its URL has under 8 kB. */
const IDS_MAX = 200;

export type BulkTarget =
  | { kind: "chosen"; machines: readonly MachineRow[]; outside: number }
  | { kind: "matching"; terms: readonly FilterTerm[] };

/** `these 50 machines`, `all 4,312 machines that match status.state = failed` */
export function describeTarget(target: BulkTarget, count: number): string {
  if (target.kind === "chosen") {
    return count === 1 ? "this 1 machine" : `these ${countMachines(count)}`;
  }
  const filter = describeFilter(target.terms);
  const all = count === 1 ? "the only machine" : `all ${countMachines(count)}`;
  return filter === "" ? `${all} of this server` : `${all} that match ${filter}`;
}

/** Reads the machines. Whether a machine has a profile is asked anew, also of chosen ones. */
export async function readTarget(
  target: BulkTarget,
  needs: "names" | "profiles",
  signal: AbortSignal,
): Promise<MachineRow[]> {
  if (target.kind === "chosen" && needs === "names") {
    return [...target.machines];
  }
  const fields = needs === "profiles" ? "id,name,profiles" : "id,name";
  if (target.kind === "chosen") {
    return readChosen(
      target.machines.map((machine) => machine.id),
      fields,
      signal,
    );
  }
  const query = filterQuery(target.terms);
  query.set("fields", fields);
  return readAll(query, signal);
}

/** Some machines by their ids, in queries of a bounded length. */
async function readChosen(
  ids: readonly string[],
  fields: string,
  signal: AbortSignal,
): Promise<MachineRow[]> {
  const machines: MachineRow[] = [];
  for (let at = 0; at < ids.length; at += IDS_MAX) {
    const query = new URLSearchParams({ "id[in]": ids.slice(at, at + IDS_MAX).join(","), fields });
    machines.push(...(await readAll(query, signal)));
  }
  return machines;
}

/** All pages of a list of machines. */
export async function readAll(query: URLSearchParams, signal?: AbortSignal): Promise<MachineRow[]> {
  const machines: MachineRow[] = [];
  let cursor: string | null = null;
  do {
    const paged = new URLSearchParams(query);
    paged.set("limit", "1000");
    if (cursor !== null) {
      paged.set("cursor", cursor);
    }
    const page: Page<MachineRow> = await api.get(
      "/machines",
      paged,
      signal === undefined ? {} : { signal },
    );
    machines.push(...page.items);
    cursor = page.next;
  } while (cursor !== null && machines.length < MACHINES_MAX);
  return machines;
}
