// Runs by the hour as a drawing: what was completed, failed and cancelled, stacked, oldest first.

import type { JSX } from "preact";
import type { HourRow } from "./summary";

const WIDTH = 480;
const HEIGHT = 82;
const BASE = 80;
const STEP = WIDTH / 24;

const PARTS = [
  { key: "complete", label: "complete", css: "fleet-fill-ok" },
  { key: "failed", label: "failed", css: "fleet-fill-bad" },
  { key: "cancelled", label: "cancelled", css: "fleet-fill-muted" },
] as const;

export function hourLabel(at: string): string {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function hourText(hour: HourRow): string {
  const parts = [`${hour.started} started`, ...PARTS.map(({ key, label }) => `${hour[key]} ${label}`)];
  return `From ${hourLabel(hour.at)}: ${parts.join(", ")}`;
}

function HourBar({ hour, index, top }: { hour: HourRow; index: number; top: number }): JSX.Element {
  let y = BASE;
  const rects = PARTS.map(({ key, css }) => {
    const height = (hour[key] / top) * (BASE - 6);
    y -= height;
    return <rect key={key} class={css} x={index * STEP + 2} y={y} width={STEP - 4} height={height} />;
  });
  const started = BASE - (hour.started / top) * (BASE - 6);
  return (
    <g>
      <title>{hourText(hour)}</title>
      <rect class="fleet-hit" x={index * STEP} y={0} width={STEP} height={HEIGHT} />
      {rects}
      {hour.started > 0 && (
        <line
          class="fleet-started"
          x1={index * STEP + 1}
          x2={(index + 1) * STEP - 1}
          y1={started}
          y2={started}
        />
      )}
    </g>
  );
}

export function HoursChart({ hours }: { hours: readonly HourRow[] }): JSX.Element {
  const sums = hours.map((hour) => Math.max(hour.started, hour.complete + hour.failed + hour.cancelled));
  const top = Math.max(...sums, 1);
  const label = `Runs of the last 24 hours, by the hour; at most ${top} in one hour`;
  return (
    <figure class="fleet-hours">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
        <line class="fleet-axis" x1={0} x2={WIDTH} y1={BASE} y2={BASE} />
        {hours.map((hour, index) => (
          <HourBar key={hour.at} hour={hour} index={index} top={top} />
        ))}
      </svg>
      <div class="fleet-ticks" aria-hidden="true">
        {hours
          .filter((_, index) => index % 6 === 0)
          .map((hour) => (
            <span key={hour.at}>{hourLabel(hour.at)}</span>
          ))}
      </div>
      <figcaption class="fleet-legend">
        {PARTS.map(({ key, label: name, css }) => (
          <span key={key}>
            <svg viewBox="0 0 10 10" aria-hidden="true">
              <rect class={css} width="10" height="10" />
            </svg>
            {name}
          </span>
        ))}
        <span>
          <svg viewBox="0 0 10 10" aria-hidden="true">
            <line class="fleet-started" x1="0" x2="10" y1="5" y2="5" />
          </svg>
          started
        </span>
      </figcaption>
      <div class="visually-hidden">
        <table>
          <caption>{label}</caption>
          <tbody>
            {hours.map((hour) => (
              <tr key={hour.at}>
                <td>{hourText(hour)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}
