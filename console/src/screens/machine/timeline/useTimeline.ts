// The events of a machine's timeline: those since its run or its last boot began, older ones when they are
// asked for, and new ones as they happen.
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { EventPage, Machine } from "../../../api/schema";
import { api, asProblem, generation, ref } from "../../../api/client";
import type { ApiProblem } from "../../../api/client";
import { useEvents } from "../../../live/feed";
import type { Band } from "./attempts";
import { bandsOf } from "./attempts";
import type { TimelineEvent } from "./events";
import { mergeEvents, readEvent } from "./events";

const PAGE = 1_000;
/** Most pages of one reading, so that the page has at most so many thousand events. */
const PAGES_MAX = 12;
const REFRESH_MS = 500;
const RECENT_MS = 7 * 86_400_000;
const BEFORE_MS = 60_000;

export interface Timeline {
  events: ReadonlySignal<TimelineEvent[]>;
  bands: ReadonlySignal<Band[]>;
  loading: ReadonlySignal<boolean>;
  problem: ReadonlySignal<ApiProblem | undefined>;
  /** From when on events are shown; none if from the beginning. */
  since: ReadonlySignal<string | undefined>;
  showAll: () => void;
}

/** When the part begins that matters now. */
export function recentSince(machine: Machine, now: number): string {
  const { run, boot_attempt: attempt } = machine.status;
  const starts = [run?.started_at, attempt?.started_at].filter((time): time is string => Boolean(time));
  const first = starts.length > 0 ? Math.min(...starts.map((time) => Date.parse(time))) : now - RECENT_MS;
  return new Date(first - BEFORE_MS).toISOString();
}

export async function readTimeline(
  machine: string,
  query: Record<string, string | number | undefined>,
  cancel: AbortSignal,
): Promise<TimelineEvent[]> {
  let events: TimelineEvent[] = [];
  let after = query["after"];
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const asked = { ...query, after, limit: PAGE };
    const options = { signal: cancel, quiet: page > 0 };
    const answer = await api.get<EventPage>(`/machines/${ref(machine)}/timeline`, asked, options);
    events = mergeEvents(events, answer.items.map(readEvent));
    if (answer.next == null) break;
    after = answer.next;
  }
  return events;
}

export function useTimeline(machine: Machine): Timeline {
  const events = useSignal<TimelineEvent[]>([]);
  const loading = useSignal(true);
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const since = useSignal<string | undefined>(recentSince(machine, Date.now()));
  const id = machine.id;

  useSignalEffect(() => {
    void generation.value;
    const cancel = new AbortController();
    const query = since.value === undefined ? {} : { since: since.value };
    loading.value = true;
    readTimeline(id, query, cancel.signal).then(
      (read) => {
        events.value = mergeEvents(events.peek(), read);
        problem.value = undefined;
        loading.value = false;
      },
      (error: unknown) => {
        if (cancel.signal.aborted) return;
        problem.value = asProblem(error);
        loading.value = false;
      },
    );
    return () => cancel.abort();
  });

  useNewEvents(id, events);
  const bands = useComputed(() => bandsOf(events.value));
  return {
    events,
    bands,
    loading,
    problem,
    since,
    showAll: () => void (since.value = undefined),
  };
}

/** Reads what came after the last event when something happens to the machine, at most twice a second. */
function useNewEvents(id: string, events: { value: TimelineEvent[]; peek: () => TimelineEvent[] }): void {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), [id]);
  useEvents({ subject: `machine:${id}` }, () => {
    if (timer.current !== undefined) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      const after = Math.max(
        0,
        ...events
          .peek()
          .slice(-200)
          .map((event) => event.seq),
      );
      const cancel = new AbortController();
      readTimeline(id, { after }, cancel.signal).then(
        (read) => void (events.value = mergeEvents(events.peek(), read)),
        () => undefined,
      );
    }, REFRESH_MS);
  });
}
