// Where everything of a band stands in the drawing: lanes, their rows, bars with their words, gaps, and the
// event that is expected next. Pure; `Drawing` makes SVG of it.
import type { Band } from "./attempts";
import type { Lane, Mark } from "./marks";
import { LANES } from "./marks";
import type { Segment } from "./scale";
import { packRows, scaleOf } from "./scale";
import { bytesText, spanText } from "./words";

export const ROW = 24;
export const AXIS = 40;
export const GUTTER = 76;
const BAR_MIN = 7;
const ROWS_MAX = 6;
/** Width of a letter of the drawing's font, with some room. */
export const LETTER = 6.4;
const LABEL_LETTERS_MAX = 34;
/** Room at the right for the event that is expected. */
export const NEXT_WIDTH = 132;

export interface Bar {
  mark: Mark;
  x: number;
  y: number;
  width: number;
  /** Empty where there is no room for it. */
  text: string;
  /** Where the words stand. */
  side: "behind" | "inside" | "before";
}

export interface LaneBox {
  lane: Lane;
  title: string;
  y: number;
  height: number;
  bars: Bar[];
}

export interface BandLayout {
  width: number;
  height: number;
  lanes: LaneBox[];
  segments: Segment[];
  /** Where the present, or the end of the attempt, is. */
  endX: number;
}

export interface LayoutWish {
  width: number;
  zoom: number;
  /** The axis goes on until here: the present of an attempt that is open. */
  until?: number;
  hasNext: boolean;
}

/** Lanes that are drawn though they are empty: that nothing came is what one looks for. */
const ALWAYS: Lane[] = ["dhcp", "files"];

export function barText(mark: Mark): string {
  const parts = [mark.label];
  if (mark.kind === "boot.file_served" && mark.bytes !== null) parts.push(bytesText(mark.bytes));
  if (mark.end > mark.start) parts.push(spanText(mark.end - mark.start));
  const text = parts.join(" · ");
  return text.length > LABEL_LETTERS_MAX ? `${text.slice(0, LABEL_LETTERS_MAX - 1)}…` : text;
}

export function layoutBand(band: Band, wish: LayoutWish): BandLayout {
  const next = wish.hasNext ? NEXT_WIDTH : 16;
  const room = Math.max(wish.width - GUTTER - next, 200) * wish.zoom;
  const scale = scaleOf(band.marks, room, wish.until);
  let y = AXIS;
  const lanes: LaneBox[] = [];
  for (const { lane, title } of LANES) {
    const marks = band.marks.filter((mark) => mark.lane === lane);
    if (marks.length === 0 && !ALWAYS.includes(lane)) continue;
    const { bars, rows } = placeBars(marks, scale.x, scale.width + next);
    const height = Math.max(1, rows) * ROW + 6;
    lanes.push({ lane, title, y, height, bars: bars.map((bar) => ({ ...bar, y: y + 3 + bar.y })) });
    y += height;
  }
  return {
    width: GUTTER + scale.width + next,
    height: y + 4,
    lanes,
    segments: scale.segments,
    endX: scale.width,
  };
}

interface Box {
  mark: Mark;
  /** Of the bar alone. */
  left: number;
  width: number;
  words: string;
  side: Bar["side"];
  /** Of the bar with its words. */
  x: number;
  all: number;
}

/** Words stand behind the bar; in it or before it where there is no room behind. */
function boxOf(mark: Mark, x: (at: number) => number, room: number): Box {
  const left = x(mark.start);
  const width = Math.max(BAR_MIN, x(mark.end) - left);
  const words = barText(mark);
  const length = words.length * LETTER + 12;
  const box = { mark, left, width, words };
  if (left + width + length <= room) return { ...box, side: "behind", x: left, all: width + length };
  if (width > length) return { ...box, side: "inside", x: left, all: width };
  if (left >= length) return { ...box, side: "before", x: left - length, all: width + length };
  return { ...box, words: "", side: "behind", x: left, all: width };
}

function placeBars(marks: Mark[], x: (at: number) => number, room: number): { bars: Bar[]; rows: number } {
  const sorted = [...marks].sort((one, other) => one.start - other.start || one.seq - other.seq);
  const boxes = sorted.map((mark) => boxOf(mark, x, room));
  const packed = packRows(
    boxes.map((box) => ({ x: box.x, width: box.all })),
    ROWS_MAX,
  );
  const taken: Box[][] = [];
  const bars = boxes.map((box, index) => {
    const row = packed[index] ?? 0;
    const others = (taken[row] ??= []);
    const isFree = others.every((other) => other.x + other.all <= box.x || box.x + box.all <= other.x);
    others.push(isFree ? box : { ...box, x: box.left, all: box.width });
    const { mark, left, width, side } = box;
    return { mark, x: left, y: row * ROW, width, text: isFree ? box.words : "", side };
  });
  return { bars: withoutCovered(bars), rows: Math.max(0, ...packed.map((row) => row + 1)) };
}

/** Takes the words behind a bar away where the next bar of its row stands on them. */
function withoutCovered(bars: Bar[]): Bar[] {
  const next = new Map<number, number>();
  const kept = [...bars].reverse().map((bar) => {
    const limit = next.get(bar.y) ?? Number.POSITIVE_INFINITY;
    next.set(bar.y, bar.x);
    const end = bar.x + bar.width + bar.text.length * LETTER + 4;
    return end > limit && bar.side === "behind" ? { ...bar, text: "" } : bar;
  });
  return kept.reverse();
}

/** All bars in the order of time, as the keyboard goes through them. */
export function barsInOrder(layout: BandLayout): Bar[] {
  const bars = layout.lanes.flatMap((lane) => lane.bars);
  return bars.sort((one, other) => one.mark.start - other.mark.start || one.mark.seq - other.mark.seq);
}
