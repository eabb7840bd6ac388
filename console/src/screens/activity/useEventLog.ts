// The log of a filter, for the life of a component: the newest page first, then what arrives, and older pages
// and gaps when they are asked for.

import { useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { api, generation } from "../../api/client";
import { asProblem, type ApiProblem } from "../../api/problem";
import { onEvents, type ServerEvent } from "../../live/feed";
import { apiQuery, isLive, passesTerms, type EventTerms } from "./filter";
import { EventLog, type Gap } from "./log";
import type { EventPage } from "./export";

const PAGE = 200;
const GAP_PAGE = 1000;

export interface EventLogView {
  log: EventLog;
  state: ReadonlySignal<"loading" | "ready">;
  problem: ReadonlySignal<ApiProblem | undefined>;
  /** Whether older events match. */
  hasOlder: ReadonlySignal<boolean>;
  loadOlder: () => void;
  fillGap: (gap: Gap) => void;
  reload: () => void;
}

export function useEventLog(terms: EventTerms): EventLogView {
  const key = JSON.stringify(terms);
  const log = useMemo(() => new EventLog(), [key]);
  const state = useSignal<"loading" | "ready">("loading");
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const hasOlder = useSignal(false);
  const turn = useSignal(0);
  const query = apiQuery(terms);
  const ask = async (
    more: Record<string, string | number>,
    signal?: AbortSignal,
  ): Promise<EventPage | undefined> => {
    try {
      const page = await api.get<EventPage>("/events", { ...query, order: "newest", ...more }, { signal });
      problem.value = undefined;
      return page;
    } catch (error) {
      if (!signal?.aborted) problem.value = asProblem(error);
      return undefined;
    }
  };
  useEffect(() => {
    const cancel = new AbortController();
    state.value = "loading";
    log.clear();
    const first = async () => {
      const subject = await resolveSubject(terms, cancel.signal);
      const end = isLive(terms) ? listen(log, terms, subject) : undefined;
      cancel.signal.addEventListener("abort", () => end?.());
      if (cancel.signal.aborted) return end?.();
      const page = await ask({ limit: PAGE }, cancel.signal);
      if (cancel.signal.aborted) return;
      if (page) log.addOlder(page.items);
      hasOlder.value = page?.next != null;
      state.value = "ready";
    };
    void first();
    return () => cancel.abort();
  }, [log, turn.value, generation.value]);
  const loadOlder = () =>
    void ask({ limit: PAGE, before: log.oldest() ?? Number.MAX_SAFE_INTEGER }).then((page) => {
      if (!page) return;
      log.addOlder(page.items);
      hasOlder.value = page.next !== null;
    });
  const fillGap = (gap: Gap) =>
    void ask({ limit: GAP_PAGE, after: gap.after, before: gap.before }).then((page) => {
      if (!page) return;
      const rest =
        page.next === null
          ? undefined
          : { ...gap, before: page.next, count: Math.max(1, gap.count - page.items.length) };
      log.fill(gap, page.items, rest);
    });
  return { log, state, problem, hasOlder, loadOlder, fillGap, reload: () => void (turn.value += 1) };
}

/** Least time between two changes of the list, in milliseconds. */
const SHOW_MS = 500;

/** Hands over what arrives: at once when little does, and at most twice a second. */
function listen(log: EventLog, terms: EventTerms, subject: string | undefined): () => void {
  let gathered: ServerEvent[] = [];
  let skipped = 0;
  let shownAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = () => {
    timer = undefined;
    shownAt = performance.now();
    log.arrive(gathered, skipped);
    [gathered, skipped] = [[], 0];
  };
  const end = onEvents({}, (events, leftOut) => {
    const wanted = events.filter((event) => passesTerms(terms, subject, event));
    if (wanted.length === 0 && leftOut === 0) return;
    gathered.push(...wanted);
    skipped += leftOut;
    timer ??= setTimeout(show, Math.max(0, shownAt + SHOW_MS - performance.now()));
  });
  return () => {
    end();
    clearTimeout(timer);
  };
}

/** Events that arrive name machines by their id; the address may have a name or a MAC. */
async function resolveSubject(terms: EventTerms, signal: AbortSignal): Promise<string | undefined> {
  const named = terms.subject ?? (terms.machine ? `machine:${terms.machine}` : undefined);
  const machine = named?.startsWith("machine:") ? named.slice("machine:".length) : undefined;
  if (machine === undefined || /^[0-9a-f-]{36}$/.test(machine)) return named;
  const options = { quiet: true, signal };
  for (const reference of [machine, `name:${machine}`]) {
    try {
      const { id } = await api.get<{ id: string }>(
        `/machines/${encodeURIComponent(reference)}`,
        { fields: "id" },
        options,
      );
      return `machine:${id}`;
    } catch {
      // The next way to name it; the page of history says what is wrong.
    }
  }
  return named;
}
