// The axis of a band: a long silence becomes a gap of a fixed width with a name. Between gaps time is in
// proportion; a stretch gets room by the root of its length, so that an hour does not hide a second.
import type { Mark } from "./marks";
import { spanText } from "./words";

/** A silence from this length on is a gap. */
export const GAP_MS_MIN = 5_000;
export const GAP_WIDTH = 96;
/** Most gaps of one drawing: those of an installer that reports now and then would fill it. */
const GAPS_MAX = 12;
const SEGMENT_WIDTH_MIN = 48;

export interface Segment {
  kind: "activity" | "gap";
  start: number;
  end: number;
  x: number;
  width: number;
  /** Of a gap: how long, and what was last heard before it. */
  label: string;
  after: string;
}

export interface Scale {
  segments: Segment[];
  width: number;
  x: (at: number) => number;
}

type Interval = { start: number; end: number; last: string };

/** Marks with less than a gap between them are one interval. */
function busyIntervals(marks: Mark[]): Interval[] {
  const sorted = [...marks].sort((one, other) => one.start - other.start);
  const busy: Interval[] = [];
  for (const mark of sorted) {
    const open = busy.at(-1);
    if (open && mark.start - open.end < GAP_MS_MIN) {
      if (mark.end >= open.end) open.last = mark.label;
      open.end = Math.max(open.end, mark.end);
    } else {
      busy.push({ start: mark.start, end: mark.end, last: mark.label });
    }
  }
  return withFewGaps(busy);
}

/** Keeps the longest silences as gaps; the shorter ones keep their length. */
function withFewGaps(busy: Interval[]): Interval[] {
  const silences = busy
    .slice(1)
    .map((one, index) => ({ at: index + 1, ms: one.start - (busy[index]?.end ?? 0) }));
  silences.sort((one, other) => other.ms - one.ms);
  const kept = new Set(silences.slice(0, GAPS_MAX).map((one) => one.at));
  const joined: Interval[] = [];
  busy.forEach((one, index) => {
    const open = joined.at(-1);
    if (open && !kept.has(index)) Object.assign(open, { end: one.end, last: one.last });
    else joined.push({ ...one });
  });
  return joined;
}

/** The axis for these marks. `until` continues it behind the last mark: the present, or the end of a wait. */
export function scaleOf(marks: Mark[], wanted: number, until?: number): Scale {
  const busy = busyIntervals(marks);
  const last = busy.at(-1);
  const tail = last && until !== undefined && until - last.end >= GAP_MS_MIN ? until : null;
  const gaps = Math.max(0, busy.length - 1) + (tail === null ? 0 : 1);
  const weight = (one: Interval) => Math.sqrt(one.end - one.start);
  const weights = busy.reduce((sum, one) => sum + weight(one), 0);
  const room = Math.max(wanted - gaps * GAP_WIDTH, busy.length * SEGMENT_WIDTH_MIN);
  const spare = room - busy.length * SEGMENT_WIDTH_MIN;
  const segments: Segment[] = [];
  let x = 0;
  busy.forEach((one, index) => {
    const share = weights > 0 ? weight(one) / weights : 1 / busy.length;
    const width = SEGMENT_WIDTH_MIN + spare * share;
    segments.push({
      kind: "activity",
      start: one.start,
      end: one.end,
      x,
      width,
      label: "",
      after: one.last,
    });
    x += width;
    const next = busy[index + 1]?.start ?? tail;
    if (next === null || next === undefined) return;
    const label = spanText(next - one.end);
    segments.push({ kind: "gap", start: one.end, end: next, x, width: GAP_WIDTH, label, after: one.last });
    x += GAP_WIDTH;
  });
  return { segments, width: x, x: (at) => place(segments, at) };
}

function place(segments: Segment[], at: number): number {
  const first = segments[0];
  if (!first || at <= first.start) return 0;
  const segment = segments.find((one) => at <= one.end) ?? segments.at(-1);
  if (!segment) return 0;
  const length = segment.end - segment.start;
  const part = length > 0 ? Math.min(1, (at - segment.start) / length) : 0.5;
  return segment.x + segment.width * Math.max(0, part);
}

/** Puts bars of one lane into rows, so that none covers another; what finds no row shares the last one. */
export function packRows(bars: { x: number; width: number }[], rowsMax: number): number[] {
  const ends: number[] = [];
  return bars.map((bar) => {
    const free = ends.findIndex((end) => end <= bar.x);
    const row = free >= 0 ? free : Math.min(ends.length, rowsMax - 1);
    ends[row] = Math.max(ends[row] ?? 0, bar.x + bar.width);
    return row;
  });
}
