// The address of the page as a signal, and the only place that changes it. All state that somebody may want
// to share stands in the query. Addresses are below `/console`; here they are without it.

import { batch, computed, signal } from "@preact/signals";
import { compilePath, matchPath, type Params } from "./paths";

export { Link } from "./link";
export type { Params } from "./paths";

export const BASE = "/console";

export interface Location {
  path: string;
  query: URLSearchParams;
}

function readLocation(): Location {
  const path = window.location.pathname.replace(/^\/console(?=\/|$)/, "") || "/";
  return { path, query: new URLSearchParams(window.location.search) };
}

export const location = signal<Location>(readLocation());
/** Changes only with the path: for what must not run anew when a filter is typed. */
export const path = computed(() => location.value.path);

export const href = (to: string): string => BASE + to;

/** Where the page's scroll position was, by the history's entry. */
const POSITIONS_MAX = 100;
const positions = new Map<string, number>();
let entry = String(window.history.state?.entry ?? newEntry());

function newEntry(): string {
  return `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
}

/** The element that scrolls, set by the layout. */
let scroller: HTMLElement | undefined;

export function setScroller(element: HTMLElement | null): void {
  scroller = element ?? undefined;
}

function keepPosition(): void {
  if (scroller) positions.set(entry, scroller.scrollTop);
  const oldest = positions.size > POSITIONS_MAX ? positions.keys().next().value : undefined;
  if (oldest !== undefined) positions.delete(oldest);
}

/** Scrolls after the next view is drawn; a list that loads may need a few frames to have its height. */
function restorePosition(top: number): void {
  let frames = 0;
  const attempt = () => {
    if (!scroller) return;
    scroller.scrollTop = top;
    frames += 1;
    if (Math.abs(scroller.scrollTop - top) > 1 && frames < 30) requestAnimationFrame(attempt);
  };
  requestAnimationFrame(attempt);
}

/** Goes to an address such as `/machines?status.state=failed`, or to another page. */
export function go(url: string, options: { replace?: boolean } = {}): void {
  if (!url.startsWith("/")) return void window.location.assign(url);
  const before = location.peek().path;
  keepPosition();
  if (!options.replace) entry = newEntry();
  window.history[options.replace ? "replaceState" : "pushState"]({ entry }, "", href(url));
  location.value = readLocation();
  if (location.peek().path !== before) restorePosition(0);
}

/** Changes names of the query; `undefined` and the empty text remove one. */
export function setQuery(
  changes: Record<string, string | undefined>,
  options: { replace?: boolean } = {},
): void {
  const { path: here, query } = location.peek();
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === "") next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  if (text !== query.toString()) go(here + (text ? `?${text}` : ""), options);
}

/** Puts another query in the place of all of it. */
export function replaceQuery(query: URLSearchParams, options: { replace?: boolean } = {}): void {
  const text = query.toString();
  go(location.peek().path + (text ? `?${text}` : ""), options);
}

window.history.scrollRestoration = "manual";
window.addEventListener("popstate", (event) => {
  keepPosition();
  batch(() => {
    entry = String((event.state as { entry?: string } | null)?.entry ?? "first");
    location.value = readLocation();
  });
  restorePosition(positions.get(entry) ?? 0);
});

/** What `<Link>` does with a click: the browser's own ways (new tab, copy address) work. */
export function followLink(event: MouseEvent, to: string): void {
  const isPlain =
    event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!isPlain || event.defaultPrevented) return;
  event.preventDefault();
  go(to);
}

/** Finds the screen of a path. */
export function findScreen<S extends { path: string }>(
  screens: readonly S[],
  at: string,
): { screen: S; params: Params } | undefined {
  for (const screen of screens) {
    const params = matchPath(compilePath(screen.path), at);
    if (params) return { screen, params };
  }
  return undefined;
}
