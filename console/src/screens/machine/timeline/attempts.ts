// The bands of a timeline: one for each boot attempt, with what happened to the machine and its run until the
// next one, and one for what was before the first.
import { inOrder, numberOf, textOf } from "./events";
import type { TimelineEvent } from "./events";
import { marksOf } from "./marks";
import type { Mark } from "./marks";

export interface Band {
  /** The id of the attempt; none for what was before the first attempt. */
  attempt: string | null;
  number: number | null;
  bootenv: string | null;
  start: number;
  end: number;
  /** When the attempt ended; none while it is open. */
  endedAt: number | null;
  result: string | null;
  events: TimelineEvent[];
  marks: Mark[];
}

export function bandsOf(events: TimelineEvent[]): Band[] {
  const sorted = inOrder(events);
  const starts = attemptStarts(sorted);
  const groups = new Map<string | null, TimelineEvent[]>();
  let current: string | null = null;
  for (const event of sorted) {
    if (event.attempt !== null && starts.get(event.attempt) === event.seq) current = event.attempt;
    const key = event.attempt ?? current;
    const group = groups.get(key);
    if (group) group.push(event);
    else groups.set(key, [event]);
  }
  return [...groups].map(([attempt, own]) => bandOf(attempt, own));
}

/** The number of the first event of each attempt. */
function attemptStarts(sorted: TimelineEvent[]): Map<string, number> {
  const starts = new Map<string, number>();
  for (const event of sorted) {
    if (event.attempt !== null && !starts.has(event.attempt)) starts.set(event.attempt, event.seq);
  }
  return starts;
}

function bandOf(attempt: string | null, events: TimelineEvent[]): Band {
  const started = events.find((event) => event.kind === "boot.attempt_started");
  const ended = events.find((event) => event.kind === "boot.attempt_ended");
  const marks = marksOf(events);
  return {
    attempt,
    number: numberOf(started, "number") ?? numberOf(ended, "number"),
    bootenv: textOf(started, "bootenv") || null,
    start: Math.min(...marks.map((mark) => mark.start)),
    end: Math.max(...marks.map((mark) => mark.end)),
    endedAt: ended?.at ?? null,
    result: textOf(ended, "result") || null,
    events,
    marks,
  };
}

/** The attempts alone, newest first. */
export function newestAttempts(bands: Band[]): Band[] {
  return bands.filter((band) => band.attempt !== null).sort((one, other) => other.start - one.start);
}

/** The last attempt before this one that ended well with the same bootenv. */
export function lastGoodAttempt(bands: Band[], of: Band): Band | undefined {
  return newestAttempts(bands).find(
    (band) => band.attempt !== of.attempt && band.result === "done" && band.bootenv === of.bootenv,
  );
}
