// The events that are shown: those that arrive at the top, those of history at the bottom, and the gaps
// between them, which are said and can be filled. Bounded: what is dropped is counted. Start at `EventLog`.

import { batch, signal } from "@preact/signals";
import type { ServerEvent } from "../../live/feed";

/** Most rows that are kept; the oldest go first, and can be read again. */
export const ROWS_MAX = 20_000;
/** Most events that wait while the list is paused; of more only the number is kept. */
export const HELD_MAX = 5_000;

/** Events that were not kept, between two that are shown. */
export interface Gap {
  gap: true;
  /** Numbers of the events around it. */
  after: number;
  before: number;
  /** How many arrived there without being kept, of all kinds. */
  count: number;
}

export type LogRow = ServerEvent | Gap;

export const isGap = (row: LogRow): row is Gap => "gap" in row;

export const rowKey = (row: LogRow): string => (isGap(row) ? `gap-${row.after}` : String(row.seq));

const newestSeq = (rows: readonly LogRow[]): number => {
  const first = rows[0];
  return first === undefined ? 0 : isGap(first) ? first.before - 1 : first.seq;
};

export class EventLog {
  /** Newest first. */
  readonly rows = signal<readonly LogRow[]>([]);
  readonly isPaused = signal(false);
  /** Events that arrived while it was paused. */
  readonly waiting = signal(0);
  /** Events that arrived and were not kept, since the list began. */
  readonly skipped = signal(0);
  /** Rows that were dropped at the bottom because the list was full. */
  readonly dropped = signal(0);
  private held: ServerEvent[] = [];
  private heldSkipped = 0;

  /** Events that arrived, oldest first, and how many of the feed were left out before them. */
  arrive(events: readonly ServerEvent[], leftOut: number): void {
    if (!this.isPaused.peek()) return this.add(events, leftOut);
    const all = [...this.held, ...events];
    const beyond = Math.max(0, all.length - HELD_MAX);
    this.held = beyond > 0 ? all.slice(beyond) : all;
    this.heldSkipped += leftOut + beyond;
    this.waiting.value += events.length + leftOut;
  }

  pause(): void {
    this.isPaused.value = true;
  }

  /** Goes on, with what arrived in between. */
  resume(): void {
    const { held, heldSkipped } = this;
    [this.held, this.heldSkipped] = [[], 0];
    batch(() => {
      this.isPaused.value = false;
      this.waiting.value = 0;
      this.add(held, heldSkipped);
    });
  }

  /** Older events of history, newest first. */
  addOlder(events: readonly ServerEvent[]): void {
    const known = new Set(this.rows.peek().map(rowKey));
    const older = events.filter((event) => !known.has(String(event.seq)));
    this.rows.value = [...this.rows.peek(), ...older];
  }

  /** What lies in a gap, newest first; `rest` stands where it goes on. */
  fill(gap: Gap, events: readonly ServerEvent[], rest: Gap | undefined): void {
    this.rows.value = this.rows.peek().flatMap((row) => {
      if (row !== gap) return [row];
      return rest ? [...events, rest] : [...events];
    });
  }

  clear(): void {
    [this.held, this.heldSkipped] = [[], 0];
    batch(() => {
      this.rows.value = [];
      [this.waiting.value, this.skipped.value, this.dropped.value] = [0, 0, 0];
    });
  }

  /** The number of the oldest event that is shown. */
  oldest(): number | undefined {
    const last = this.rows.peek().at(-1);
    return last === undefined ? undefined : isGap(last) ? last.after + 1 : last.seq;
  }

  private add(events: readonly ServerEvent[], leftOut: number): void {
    const rows = this.rows.peek();
    const newest = newestSeq(rows);
    const fresh = events.filter((event) => event.seq > newest);
    if (fresh.length === 0 && leftOut === 0) return;
    const first = fresh[0];
    const gap: LogRow[] =
      leftOut > 0 && first && rows.length > 0
        ? [{ gap: true, after: newest, before: first.seq, count: leftOut }]
        : [];
    const all = [...fresh.reverse(), ...gap, ...rows];
    batch(() => {
      this.skipped.value += leftOut;
      this.dropped.value += Math.max(0, all.length - ROWS_MAX);
      this.rows.value = all.length > ROWS_MAX ? all.slice(0, ROWS_MAX) : all;
    });
  }
}
