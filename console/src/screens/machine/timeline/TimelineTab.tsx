// The timeline of a machine: an attempt beneath the other, newest first, the latest one open.
import type { JSX } from "preact";
import type { Machine } from "../../../api/schema";
import { location, setQuery } from "../../../app/router";
import { Button, Empty, Loading, now as present, Problem, Time } from "../kit";
import { AttemptCard, bandTitle } from "./AttemptCard";
import type { Band } from "./attempts";
import { diagnose } from "./diagnosis";
import { expectedOf } from "./expected";
import type { WorkflowUsual } from "./usual";
import type { Timeline } from "./useTimeline";

interface TimelineTabProps {
  machine: Machine;
  timeline: Timeline;
  usual: WorkflowUsual | null;
}

/** Attempts that are listed before one asks for more. */
const SHOWN_FIRST = 12;

export function TimelineTab({ machine, timeline, usual }: TimelineTabProps): JSX.Element {
  const query = location.value.query;
  const now = present.value;
  const bands = [...timeline.bands.value].reverse();
  const problem = timeline.problem.value;
  if (problem && bands.length === 0) return <Problem problem={problem} />;
  if (timeline.loading.value && bands.length === 0) return <Loading />;
  const open = query.get("attempt") ?? bandKey(bands.find((band) => band.attempt !== null) ?? bands[0]);
  const isTable = query.get("view") === "table";
  const current =
    bands.find((band) => band.attempt !== null && band.attempt === machine.status.boot_attempt?.id) ??
    bands[0];
  const all = query.get("all") === "1" ? bands : bands.slice(0, SHOWN_FIRST);
  return (
    <div class="timeline">
      {problem && <Problem problem={problem} />}
      <Tools timeline={timeline} isTable={isTable} />
      {bands.length === 0 && <NoEvents machine={machine} />}
      {all.map((band) => {
        const key = bandKey(band);
        if (key !== open) return <ClosedBand key={key} band={band} now={now} />;
        return (
          <AttemptCard
            key={key}
            band={band}
            bands={bands}
            machine={machine.id}
            workflow={machine.status.run?.workflow ?? machine.workflow ?? null}
            now={now}
            isCurrent={band === current}
            expected={expectedOf(machine.status, usual, now)}
            isTable={isTable}
            chosen={chosenEvent(query)}
          />
        );
      })}
      {all.length < bands.length && (
        <Button
          onClick={() => setQuery({ all: "1" }, { replace: true })}
        >{`Show ${bands.length - all.length} earlier attempts`}</Button>
      )}
    </div>
  );
}

function bandKey(band: Band | undefined): string {
  return band?.attempt ?? "before";
}

function chosenEvent(query: URLSearchParams): number | null {
  const event = Number(query.get("event"));
  return Number.isSafeInteger(event) && event > 0 ? event : null;
}

function Tools({ timeline, isTable }: { timeline: Timeline; isTable: boolean }): JSX.Element {
  const since = timeline.since.value;
  return (
    <div class="tl-tools">
      <Button onClick={() => setQuery({ view: isTable ? undefined : "table" }, { replace: true })}>
        {isTable ? "Show the drawing" : "Show as a table"}
      </Button>
      {since !== undefined && (
        <span class="muted">
          Since <Time at={since} />{" "}
          <button type="button" class="linklike" onClick={timeline.showAll}>
            show all that is kept
          </button>
        </span>
      )}
    </div>
  );
}

function NoEvents({ machine }: { machine: Machine }): JSX.Element {
  return (
    <Empty title="Nothing was heard of this machine">
      {`Power it on and let it boot from the network. The server knows it by ` +
        `${(machine.macs ?? []).join(", ") || "no MAC address yet: add one"}.`}
    </Empty>
  );
}

function ClosedBand({ band, now }: { band: Band; now: number }): JSX.Element {
  const found = diagnose(band, now);
  return (
    <button
      type="button"
      class={`closed-band ${found.tone}`}
      onClick={() => setQuery({ attempt: bandKey(band), event: undefined })}
    >
      <span>
        <strong>{bandTitle(band)}</strong> <Time at={new Date(band.start).toISOString()} />
      </span>
      <span>{band.attempt === null ? `${band.events.length} events` : found.headline}</span>
    </button>
  );
}
