// Which machines are chosen: single ones, or all that match the filter. Both are kept while one looks at a
// machine and comes back; another filter begins anew.

import { signal } from "@preact/signals";

export const chosen = signal<ReadonlySet<string>>(new Set());
/** All that match the filter, not only those that are chosen in the list. */
export const isAllMatching = signal(false);
/** The action whose dialog is open. */
export const openAction = signal<string | undefined>(undefined);

let filterOfSelection = "";

/** Forgets the selection of another filter. */
export function useSelectionOf(filter: string): void {
  if (filter !== filterOfSelection) {
    filterOfSelection = filter;
    clearSelection();
  }
}

export function clearSelection(): void {
  chosen.value = new Set();
  isAllMatching.value = false;
}

export function chooseAllMatching(): void {
  chosen.value = new Set();
  isAllMatching.value = true;
}

export function choose(ids: ReadonlySet<string>): void {
  chosen.value = ids;
  isAllMatching.value = false;
}
