// A boot attempt as a drawing: a lane for each kind of event, bars with names, sizes and durations, hatched
// gaps for silence. The arrow keys go from event to event. The table beside it has the same.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Band } from "./attempts";
import type { ExpectedEvent } from "./expected";
import type { Bar, BandLayout } from "./layout";
import { AXIS, GUTTER, ROW, barText, barsInOrder, layoutBand } from "./layout";
import type { Mark } from "./marks";
import type { Segment } from "./scale";
import { spanText } from "./words";

interface DrawingProps {
  band: Band;
  zoom: number;
  /** The present, for an attempt that is open. */
  until?: number;
  expected: ExpectedEvent | null;
  chosen: number | null;
  /** What the pointer or the keyboard is at. */
  onLook: (mark: Mark | null) => void;
  onChoose: (mark: Mark) => void;
}

const WIDTH_FIRST = 900;
const WIDTH_MIN = 420;

export function Drawing(props: DrawingProps): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const width = useSignal(WIDTH_FIRST);
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(
      () => void (width.value = Math.max(element.clientWidth, WIDTH_MIN)),
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const { band, zoom, until, expected } = props;
  const layout = layoutBand(band, { width: width.value, zoom, until, hasNext: expected !== null });
  return (
    <div class="tl-frame" ref={frame} tabIndex={0} role="group" aria-label="Timeline">
      <svg
        class="tl-drawing"
        width={layout.width}
        height={layout.height}
        viewBox={`0 0 ${layout.width} ${layout.height}`}
        role="group"
        aria-label={
          `Drawing of attempt ${band.number ?? ""}: ` +
          `${band.marks.length} events. Arrow keys go through them.`
        }
        onMouseLeave={() => props.onLook(null)}
      >
        <defs>
          <pattern
            id="tl-hatch"
            width="8"
            height="8"
            patternUnits="userSpaceOnUse"
            patternTransform="rotate(45)"
          >
            <line class="tl-hatch" x1="0" y1="0" x2="0" y2="8" />
          </pattern>
        </defs>
        <Lanes layout={layout} />
        <g transform={`translate(${GUTTER} 0)`}>
          {layout.segments.map((segment) => (
            <SegmentShape
              key={segment.start}
              segment={segment}
              origin={band.start}
              height={layout.height}
            />
          ))}
          <Bars layout={layout} {...props} />
          {expected && <NextShape layout={layout} expected={expected} />}
        </g>
      </svg>
    </div>
  );
}

function Lanes({ layout }: { layout: BandLayout }): JSX.Element {
  return (
    <g>
      {layout.lanes.map((lane, index) => (
        <g key={lane.lane}>
          <rect
            class={index % 2 ? "tl-lane odd" : "tl-lane"}
            x="0"
            y={lane.y}
            width={layout.width}
            height={lane.height}
          />
          <text class="tl-lane-title" x="8" y={lane.y + 18}>
            {lane.title}
          </text>
          {lane.bars.length === 0 && (
            <text class="tl-nothing" x={GUTTER + 4} y={lane.y + 18}>
              nothing
            </text>
          )}
        </g>
      ))}
    </g>
  );
}

function SegmentShape({
  segment,
  origin,
  height,
}: {
  segment: Segment;
  origin: number;
  height: number;
}): JSX.Element {
  const { x, width } = segment;
  if (segment.kind === "activity") {
    return (
      <g>
        <line class="tl-axis" x1={x} x2={x + width} y1={AXIS - 6} y2={AXIS - 6} />
        <text class="tl-tick" x={x} y={AXIS - 12}>
          +{spanText(segment.start - origin)}
        </text>
      </g>
    );
  }
  return (
    <g>
      <title>{`Silence of ${segment.label} after ${segment.after}`}</title>
      <rect
        class="tl-gap"
        x={x + 6}
        y={AXIS - 6}
        width={width - 12}
        height={height - AXIS}
        fill="url(#tl-hatch)"
      />
      <text class="tl-gap-title" x={x + width / 2} y={12} text-anchor="middle">
        {segment.label}
      </text>
      <text class="tl-gap-note" x={x + width / 2} y={25} text-anchor="middle">
        {shorten(`after ${segment.after}`, 17)}
      </text>
    </g>
  );
}

function shorten(text: string, letters: number): string {
  return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
}

function Bars({ layout, chosen, onLook, onChoose }: DrawingProps & { layout: BandLayout }): JSX.Element {
  const bars = barsInOrder(layout);
  const current = useSignal(0);
  const group = useRef<SVGGElement>(null);
  const move = (index: number) => {
    const at = Math.max(0, Math.min(bars.length - 1, index));
    current.value = at;
    group.current?.querySelector<SVGGElement>(`[data-index="${at}"]`)?.focus();
  };
  const steer = (event: KeyboardEvent) => {
    const steps: Record<string, number> = {
      ArrowRight: current.value + 1,
      ArrowLeft: current.value - 1,
      Home: 0,
      End: bars.length - 1,
    };
    const bar = bars[current.value];
    if ((event.key === "Enter" || event.key === " ") && bar) {
      onChoose(bar.mark);
    } else if (event.key in steps) {
      move(steps[event.key] ?? 0);
    } else {
      return;
    }
    event.preventDefault();
  };
  const stop = Math.min(current.value, bars.length - 1);
  return (
    <g ref={group} onKeyDown={steer}>
      {bars.map((bar, index) => (
        <BarShape
          key={bar.mark.seq}
          bar={bar}
          index={index}
          isStop={index === stop}
          isChosen={bar.mark.seq === chosen}
          onLook={() => {
            current.value = index;
            onLook(bar.mark);
          }}
          onChoose={() => onChoose(bar.mark)}
        />
      ))}
    </g>
  );
}

interface BarProps {
  bar: Bar;
  index: number;
  isStop: boolean;
  isChosen: boolean;
  onLook: () => void;
  onChoose: () => void;
}

function textX({ side, x, width }: Bar): number {
  if (side === "inside") return x + 4;
  return side === "before" ? x - 5 : x + width + 5;
}

function BarShape({ bar, index, isStop, isChosen, onLook, onChoose }: BarProps): JSX.Element {
  const { mark, x, y, width, text } = bar;
  const words = [barText(mark), mark.detail].filter(Boolean).join(", ");
  return (
    <g
      class={`tl-mark ${mark.tone}${isChosen ? " chosen" : ""}`}
      data-index={index}
      tabIndex={isStop ? 0 : -1}
      role="button"
      aria-label={words}
      onMouseEnter={onLook}
      onFocus={onLook}
      onClick={onChoose}
    >
      <rect class="tl-hit" x={x - 2} y={y} width={Math.max(24, width + 4)} height={ROW} />
      <rect class="tl-bar" x={x} y={y + 4} width={width} height={ROW - 9} rx="3" />
      {mark.tone === "bad" && <path class="tl-cross" d={`M${x + 1} ${y + 7}l5 6m0 -6l-5 6`} />}
      {text && (
        <text aria-hidden="true" class={`tl-text ${bar.side}`} x={textX(bar)} y={y + 16}>
          {text}
        </text>
      )}
    </g>
  );
}

function NextShape({ layout, expected }: { layout: BandLayout; expected: ExpectedEvent }): JSX.Element {
  const x = layout.endX + 10;
  const lines = wrap(`next: ${expected.title}`, 19);
  return (
    <g class={expected.overdue ? "tl-next overdue" : "tl-next"}>
      <title>{`${expected.title}; ${expected.reason}; ${expected.usually}`}</title>
      <line x1={x} x2={x} y1={AXIS - 6} y2={layout.height - 4} />
      {lines.map((line, index) => (
        <text key={line} x={x + 6} y={AXIS + 10 + index * 14}>
          {line}
        </text>
      ))}
    </g>
  );
}

function wrap(text: string, letters: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 1 <= letters)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.slice(0, 4);
}
