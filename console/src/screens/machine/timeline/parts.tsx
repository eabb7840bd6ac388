// Small parts of the timeline: the diagnosis, how far an attempt came, the details of one event, the table.
import type { JSX } from "preact";
import { Json, Time } from "../kit";
import type { Band } from "./attempts";
import type { Diagnosis } from "./diagnosis";
import type { ExpectedEvent } from "./expected";
import type { Mark } from "./marks";
import { LANES } from "./marks";
import type { Milestone } from "./milestones";
import { milestonesOf } from "./milestones";
import { bytesText, rateText, spanText } from "./words";

const SIGNS: Record<Diagnosis["tone"], string> = { ok: "✓", bad: "✕", warn: "!", info: "…", muted: "·" };
const TONES: Record<Diagnosis["tone"], string> = {
  ok: "Good",
  bad: "Fault",
  warn: "Attention",
  info: "Under way",
  muted: "Note",
};

export function DiagnosisLine({
  diagnosis,
  onShow,
}: {
  diagnosis: Diagnosis;
  onShow?: (seq: number) => void;
}): JSX.Element {
  const { tone, headline, why, todo, seq } = diagnosis;
  return (
    <div class={`diagnosis ${tone}`}>
      <span class="diagnosis-sign" role="img" aria-label={TONES[tone]}>
        {SIGNS[tone]}
      </span>
      <div>
        <p class="diagnosis-headline">{headline}</p>
        {why && <p>{why}</p>}
        {todo && (
          <p class="diagnosis-todo">
            <strong>What to do:</strong> {todo}
          </p>
        )}
        {seq !== null && onShow && (
          <button type="button" class="linklike" onClick={() => onShow(seq)}>
            Show the event
          </button>
        )}
      </div>
    </div>
  );
}

const STATES: Record<Milestone["state"], string> = {
  passed: "passed",
  awaited: "waited for",
  stopped: "not reached: it stopped here",
  open: "not yet",
  unneeded: "not needed",
};
const MARKS: Record<Milestone["state"], string> = {
  passed: "✓",
  awaited: "▸",
  stopped: "✕",
  open: "○",
  unneeded: "–",
};

export function MilestoneStrip({ band }: { band: Band }): JSX.Element {
  return (
    <ol class="milestones" aria-label="How far the boot came">
      {milestonesOf(band).map((one) => (
        <li key={one.name} class={`milestone ${one.state}`}>
          <span class="milestone-mark" aria-hidden="true">
            {MARKS[one.state]}
          </span>
          <span class="milestone-title">{one.title}</span>
          <span class="milestone-after">
            {one.after === null ? (
              <span class="muted">{STATES[one.state]}</span>
            ) : (
              `+${spanText(one.after)}`
            )}
          </span>
        </li>
      ))}
    </ol>
  );
}

export function ExpectedLine({ expected }: { expected: ExpectedEvent }): JSX.Element {
  return (
    <p class={expected.overdue ? "expected overdue" : "expected"}>
      <strong>{expected.overdue ? "Overdue: " : "Expected next: "}</strong>
      {expected.title}
      {expected.usually && <>, {expected.usually}</>}
      {expected.by !== null && (
        <>
          ; {expected.overdue ? "it was expected" : "expected by"}{" "}
          <Time at={new Date(expected.by).toISOString()} />
        </>
      )}
      {expected.failsAt !== null && (
        <>
          ; the wait fails <Time at={new Date(expected.failsAt).toISOString()} />
        </>
      )}
      .
    </p>
  );
}

export function MarkDetails({ mark, origin }: { mark: Mark; origin: number }): JSX.Element {
  const spent = mark.end - mark.start;
  const { event } = mark;
  return (
    <section class="mark-details" aria-label="Details of the event">
      <p>
        <strong>{mark.label}</strong> <code>{mark.kind}</code>{" "}
        <span class="muted">
          {timeText(mark.start)}, +{spanText(mark.start - origin)}
          {spent > 0 && `, took ${spanText(spent)}`}
          {mark.bytes !== null && `, ${bytesText(mark.bytes)}`}
          {mark.bytes !== null && spent > 0 && ` at ${rateText(mark.bytes, spent)}`}
        </span>
      </p>
      {mark.detail && <p class="wrap">{mark.detail}</p>}
      <details>
        <summary>All fields of event {event.seq}</summary>
        <Json value={event.data} />
      </details>
    </section>
  );
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hour12: false,
});

export function timeText(at: number): string {
  return CLOCK.format(new Date(at));
}

/** The same as the drawing, for readers, for search and for copying. */
export function MarkTable({ band, chosen }: { band: Band; chosen: number | null }): JSX.Element {
  const titles = new Map(LANES.map((one) => [one.lane, one.title]));
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="Events of the attempt">
      <table class="plain">
        <thead>
          <tr>
            <th>After</th>
            <th>Lane</th>
            <th>Event</th>
            <th>Took</th>
            <th>Size</th>
            <th>Details</th>
          </tr>
        </thead>
        <tbody>
          {band.marks.map((mark) => (
            <tr key={mark.seq} class={mark.seq === chosen ? "chosen" : ""}>
              <td class="num" title={timeText(mark.start)}>
                +{spanText(mark.start - band.start)}
              </td>
              <td>{titles.get(mark.lane)}</td>
              <td>
                <span class={`tone ${mark.tone}`}>{SIGNS[mark.tone]}</span> {mark.label}
              </td>
              <td class="num">{mark.end > mark.start ? spanText(mark.end - mark.start) : ""}</td>
              <td class="num">{mark.bytes === null ? "" : bytesText(mark.bytes)}</td>
              <td class="wrap">{mark.detail}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
