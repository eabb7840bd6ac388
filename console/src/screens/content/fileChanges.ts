/** What differs between the files of two packs. */

import { unifiedDiff } from "./lineDiff";

export interface ComparedFile {
  path: string;
  text: string;
}

export interface FileChange {
  path: string;
  kind: "added" | "removed" | "changed";
  diff: string;
}

/** The files that differ, by path. */
export function fileChanges(before: readonly ComparedFile[], after: readonly ComparedFile[]): FileChange[] {
  const old = new Map(before.map((file) => [file.path, file.text]));
  const now = new Map(after.map((file) => [file.path, file.text]));
  const paths = [...new Set([...old.keys(), ...now.keys()])].sort();
  return paths.flatMap((path) => {
    const [was, is] = [old.get(path), now.get(path)];
    if (was === is) return [];
    const kind = was === undefined ? "added" : is === undefined ? "removed" : "changed";
    return [{ path, kind, diff: unifiedDiff(path, was ?? "", is ?? "") }];
  });
}
