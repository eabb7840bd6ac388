// The axis of a band: what happened keeps its proportions, and a long silence becomes a gap of a fixed width
// with a name, so that neither hides the other.
import type { Mark } from "./marks";
import { spanText } from "./words";

/** A silence from this length on is a gap. */
export const GAP_MS_MIN = 5_000;
export const GAP_WIDTH = 96;
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
  return busy;
}

/** The axis for these marks. `until` continues it behind the last mark: the present, or the end of a wait. */
export function scaleOf(marks: Mark[], wanted: number, until?: number): Scale {
  const busy = busyIntervals(marks);
  const last = busy.at(-1);
  const tail = last && until !== undefined && until - last.end >= GAP_MS_MIN ? until : null;
  const gaps = Math.max(0, busy.length - 1) + (tail === null ? 0 : 1);
  const active = busy.reduce((sum, one) => sum + one.end - one.start, 0);
  const room = Math.max(wanted - gaps * GAP_WIDTH, busy.length * SEGMENT_WIDTH_MIN);
  const spare = room - busy.length * SEGMENT_WIDTH_MIN;
  const segments: Segment[] = [];
  let x = 0;
  busy.forEach((one, index) => {
    const share = active > 0 ? (one.end - one.start) / active : 1 / busy.length;
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
