/** Machines whose documents change in the same way, together. */

import { unifiedDiff } from "./lineDiff";

/** A machine, as far as it tells its texts from those of others. */
export interface MachineIdentity {
  id: string;
  name: string;
  macs: readonly string[];
  address?: string | null;
}

export interface DocumentDifference {
  path: string;
  diff: string;
  /** Why it cannot be made with the change. */
  fault?: string;
}

export interface ChangeGroup {
  key: string;
  fails: boolean;
  machines: string[];
  documents: DocumentDifference[];
}

/** What a machine gets of one document, before and with a change. */
export interface RenderedPair {
  path: string;
  before: string | null;
  after: string | null;
  fault?: string;
}

/** What differs for a machine. A document that could not be made before either does not count. */
export function differencesOf(pairs: readonly RenderedPair[]): DocumentDifference[] {
  return pairs.flatMap((pair) => {
    if (pair.after === null) {
      if (pair.before === null) return [];
      return [{ path: pair.path, diff: "", fault: pair.fault ?? "It cannot be rendered." }];
    }
    const diff = unifiedDiff(pair.path, pair.before ?? "", pair.after);
    return diff === "" ? [] : [{ path: pair.path, diff }];
  });
}

/** The differences without what distinguishes the machine itself. */
export function differenceKey(machine: MachineIdentity, documents: readonly DocumentDifference[]): string {
  const words = [machine.id, ...machine.macs, machine.address ?? "", machine.name];
  const own = words.filter((word) => word !== "");
  const forms = own.flatMap((word) => [word, word.replaceAll(":", "-")]);
  const lines = documents.flatMap((document) => [
    document.path,
    document.fault ?? "",
    ...document.diff.split("\n").filter((line) => /^[-+]/.test(line)),
  ]);
  return forms.reduce((text, word) => text.replaceAll(word, "·"), lines.join("\n"));
}

/** Adds a machine's differences to the groups: those that fail first, then the largest. */
export function addToGroups(
  groups: readonly ChangeGroup[],
  machine: MachineIdentity,
  documents: DocumentDifference[],
): ChangeGroup[] {
  if (documents.length === 0) return [...groups];
  const key = differenceKey(machine, documents);
  const known = groups.some((group) => group.key === key);
  const fails = documents.some((document) => document.fault !== undefined);
  const grown = known
    ? groups.map((group) => (group.key === key ? withMachine(group, machine.name) : group))
    : [...groups, { key, fails, machines: [machine.name], documents }];
  return sortGroups(grown);
}

function withMachine(group: ChangeGroup, name: string): ChangeGroup {
  return { ...group, machines: [...group.machines, name] };
}

interface SortedGroup {
  fails: boolean;
  machines: readonly string[];
}

/** Those that fail first, then the largest. */
export function sortGroups<T extends SortedGroup>(groups: readonly T[]): T[] {
  const size = (group: T) => group.machines.length;
  return [...groups].sort((a, b) => Number(b.fails) - Number(a.fails) || size(b) - size(a));
}
