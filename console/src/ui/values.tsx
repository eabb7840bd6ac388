// Single values as text and small drawings: times, durations, sizes, cut texts, pairs, bars.

import { computed, signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { Copy } from "./button";
import { absoluteText, bytesText, durationText, relativeText } from "./format";
import type { Tone } from "./status";
import "./values.css";

/** The present, in steps of a second; one timer for the page, and none while it is hidden. */
export const now = signal(Date.now());
const minute = computed(() => Math.floor(now.value / 60_000));
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) now.value = Date.now();
});

type Moment = string | number | Date | null | undefined;

/** A time: relative, with the absolute one and its zone on hover and focus. */
export function Time({ at, absolute = false }: { at: Moment; absolute?: boolean }): JSX.Element {
  if (at === null || at === undefined || at === "") return <span class="muted">–</span>;
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return <span>{String(at)}</span>;
  const full = absoluteText(time);
  // Old times are not drawn again each second.
  const isRecent = Math.abs(time.getTime() - now.peek()) < 120_000;
  const present = isRecent ? now.value : minute.value * 60_000 + (now.peek() % 60_000);
  const text = absolute ? full : relativeText(time.getTime(), present);
  return (
    <time
      class="time"
      dateTime={time.toISOString()}
      title={full}
      aria-label={absolute ? undefined : `${text}, ${full}`}
    >
      {text}
    </time>
  );
}

/** A duration in milliseconds, or between two times (the second is now if it is absent). */
export function Duration(props: { ms?: number | null; from?: Moment; to?: Moment }): JSX.Element {
  const { ms, from, to } = props;
  if (typeof ms === "number") return <span class="duration">{durationText(ms)}</span>;
  if (!from) return <span class="muted">–</span>;
  const end = to ? new Date(to).getTime() : now.value;
  return <span class="duration">{durationText(Math.max(0, end - new Date(from).getTime()))}</span>;
}

export function Bytes({ value }: { value: number | null | undefined }): JSX.Element {
  if (value === null || value === undefined) return <span class="muted">–</span>;
  return <span title={`${value} bytes`}>{bytesText(value)}</span>;
}

/** A text that is cut where there is no room; whole on hover and focus, and to be copied. */
export function Truncated({
  text,
  copy = true,
  mono = false,
}: {
  text: string;
  copy?: boolean;
  mono?: boolean;
}): JSX.Element {
  return (
    <span class="truncated" title={text}>
      <span class={mono ? "cut mono" : "cut"}>{text}</span>
      {copy && text !== "" && (
        <span class="copy">
          <Copy text={text} label={`Copy ${text.slice(0, 60)}`} />
        </span>
      )}
    </span>
  );
}

export type Pair = readonly [name: string, value: ComponentChildren];

/** Names and values; pairs without a value are left out. */
export function KeyValue({ pairs }: { pairs: ReadonlyArray<Pair | undefined | false> }): JSX.Element {
  const shown = pairs.filter(
    (pair): pair is Pair => !!pair && pair[1] !== undefined && pair[1] !== null && pair[1] !== "",
  );
  return (
    <dl class="key-value">
      {shown.map(([name, value]) => [<dt key={`${name}-name`}>{name}</dt>, <dd key={name}>{value}</dd>])}
    </dl>
  );
}

export function ProgressBar({
  value,
  max = 100,
  label,
  tone,
}: {
  value: number;
  max?: number;
  label: string;
  tone?: "ok" | "warn" | "bad";
}): JSX.Element {
  const share = max > 0 ? Math.max(0, Math.min(1, value / max)) : 0;
  return (
    <div
      class="progress"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={max}
      aria-valuenow={value}
    >
      <div class="track">
        <div class={`fill ${tone ?? ""}`} style={{ width: `${share * 100}%` }} />
      </div>
      <span class="small">{Math.round(share * 100)} %</span>
    </div>
  );
}

export interface BarPart {
  label: string;
  value: number;
  tone: Tone;
}

/** Parts of a whole as one bar, with a legend that says the numbers. */
export function Bars({
  parts,
  max,
  label,
  legend = true,
}: {
  parts: readonly BarPart[];
  max?: number;
  label: string;
  legend?: boolean;
}): JSX.Element {
  const whole = max ?? parts.reduce((sum, part) => sum + part.value, 0);
  const shown = parts.filter((part) => part.value > 0);
  const words = shown.map((part) => `${part.label} ${part.value}`).join(", ");
  return (
    <div>
      <div
        class="bars"
        role="img"
        aria-label={`${label}: ${words || "none"}${max === undefined ? "" : ` of ${max}`}`}
      >
        {shown.map((part) => (
          <div
            key={part.label}
            class={`tone-${part.tone}`}
            title={`${part.label}: ${part.value}`}
            style={{ width: `${whole > 0 ? (part.value / whole) * 100 : 0}%` }}
          />
        ))}
      </div>
      {legend && (
        <ul class="legend">
          {shown.map((part) => (
            <li key={part.label}>
              <i class={`tone-${part.tone}`} />
              {part.label} {part.value}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** A line of values over time. */
export function Spark({
  values,
  label,
  width = 120,
  height = 28,
}: {
  values: readonly number[];
  label: string;
  width?: number;
  height?: number;
}): JSX.Element {
  const top = Math.max(1, ...values);
  const step = values.length > 1 ? (width - 2) / (values.length - 1) : 0;
  const points = values.map(
    (value, index) =>
      `${(1 + index * step).toFixed(1)},${(height - 2 - (value / top) * (height - 4)).toFixed(1)}`,
  );
  return (
    <svg
      class="spark"
      role="img"
      aria-label={label}
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
    >
      <polyline points={points.join(" ")} fill="none" stroke="currentColor" stroke-width="1.5" />
    </svg>
  );
}
