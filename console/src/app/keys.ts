// Keys of the whole page: Ctrl-K the palette, `/` the search, `?` the keys, `g` and a letter a screen.

import { useEffect, useRef } from "preact/hooks";
import { isHelpOpen, isPaletteOpen, addedCommands, type Command } from "./palette";
import { go, type Params } from "./router";
import type { Screen } from "./screen";
import { navScreens } from "./navigation";

/** A second key has to come within this time. */
const SECOND_KEY_MS = 1500;

/** Whether a key is meant for what is typed into. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

/** All commands of the moment: those of the view, then the screens, then those of the console. */
export function allCommands(found: { screen: Screen; params: Params } | undefined): Command[] {
  const own = found?.screen.commands?.(found.params) ?? [];
  const screens = navScreens().map((screen): Command => ({
    id: `go${screen.path}`,
    title: `Go to ${screen.nav.label}`,
    ...(screen.key ? { keys: `g ${screen.key}` } : {}),
    run: () => go(screen.path),
  }));
  const console: Command[] = [
    { id: "search", title: "Search", keys: "/", run: focusSearch },
    {
      id: "keys",
      title: "Show the keys",
      keys: "?",
      run: () => {
        isHelpOpen.value = true;
      },
    },
  ];
  return [...addedCommands(), ...own, ...screens, ...console];
}

export function focusSearch(): void {
  document.getElementById("search")?.focus();
}

export function useKeys(found: { screen: Screen; params: Params } | undefined): void {
  const latest = useRef(found);
  latest.current = found;
  useEffect(() => {
    let first: { key: string; at: number } | undefined;
    const handle = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        isPaletteOpen.value = !isPaletteOpen.peek();
        return;
      }
      const isFree = !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target);
      if (!isFree || document.querySelector("dialog[open]")) return;
      const second =
        first && Date.now() - first.at < SECOND_KEY_MS ? `${first.key} ${event.key}` : undefined;
      first = { key: event.key, at: Date.now() };
      const command = allCommands(latest.current).find(
        ({ keys }) => keys === event.key || (second && keys === second),
      );
      if (!command || !(command.enabled?.() ?? true)) return;
      event.preventDefault();
      first = undefined;
      command.run();
    };
    document.addEventListener("keydown", handle);
    return () => document.removeEventListener("keydown", handle);
  }, []);
}
