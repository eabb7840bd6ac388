// Commands: what the palette offers and keys do. Screens bring theirs in `Screen.commands`.

import { signal } from "@preact/signals";

export interface Command {
  id: string;
  title: string;
  /** Shown beside it, such as `g m`. */
  keys?: string;
  run: () => void;
  /** Whether it can be run now; yes when it is absent. */
  enabled?: () => boolean;
}

export const isPaletteOpen = signal(false);
export const isHelpOpen = signal(false);

/** Commands of the view in front beyond those of its screen, while a component is there. */
const added = signal<ReadonlyArray<readonly Command[]>>([]);

/** Adds commands; returns what takes them away (for an effect). */
export function addCommands(commands: readonly Command[]): () => void {
  added.value = [...added.peek(), commands];
  return () => {
    added.value = added.peek().filter((some) => some !== commands);
  };
}

export const addedCommands = (): Command[] => added.value.flat();

/** How well a title fits what was typed: all words as parts of the title, the earlier the better. */
export function rankCommand(title: string, typed: string): number | undefined {
  const text = title.toLowerCase();
  let rank = 0;
  for (const word of typed
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")) {
    const at = text.indexOf(word);
    if (at < 0) return undefined;
    const isStart = at === 0 || text[at - 1] === " ";
    rank += at + (isStart ? 0 : 50);
  }
  return rank;
}

export function findCommands(commands: readonly Command[], typed: string): Command[] {
  return commands
    .map((command, index) => ({ command, index, rank: rankCommand(command.title, typed) }))
    .filter(({ rank }) => rank !== undefined)
    .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0) || a.index - b.index)
    .map(({ command }) => command)
    .filter((command) => command.enabled?.() ?? true);
}
