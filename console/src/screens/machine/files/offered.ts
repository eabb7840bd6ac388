// The files of a machine in one list: what it may fetch, what its bootenv has, and what it was served last
// time.
import type { ComparedDocument, FileRow } from "../../../api/schema";

export interface OfferedFile {
  name: string;
  what: string;
  allowed: boolean | null;
  reason: string;
  change: ComparedDocument | undefined;
}

/** Paths without the capability. */
export function plainName(path: string): string {
  return path.replace(/^\/?m\/[^/]*\//, "");
}

/** What the server lists, what the bootenv has besides, and what was served last time and is gone. */
export function offeredFiles(
  rows: FileRow[],
  templates: string[],
  changes: ComparedDocument[],
): OfferedFile[] {
  const files = new Map<string, OfferedFile>();
  for (const row of rows) {
    const name = plainName(row.path);
    files.set(name, {
      name,
      what: row.what,
      allowed: row.allowed,
      reason: row.reason ?? "",
      change: undefined,
    });
  }
  for (const name of templates.filter((one) => !files.has(one))) {
    files.set(name, { name, what: "rendered", allowed: null, reason: "", change: undefined });
  }
  for (const change of changes) {
    const known = files.get(change.path);
    if (known) known.change = change;
    else files.set(change.path, { name: change.path, what: "served", allowed: null, reason: "", change });
  }
  return [...files.values()];
}
