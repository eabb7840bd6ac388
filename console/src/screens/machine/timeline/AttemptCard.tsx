// One attempt: what it came to, its drawing or its table, the details of one event, and a comparison.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Card } from "../kit";
import { setQuery } from "../../../app/router";
import type { Band } from "./attempts";
import { CompareAttempt } from "./CompareAttempt";
import { Drawing } from "./Drawing";
import { diagnose } from "./diagnosis";
import type { ExpectedEvent } from "./expected";
import type { Mark } from "./marks";
import { bootsDisk } from "./milestones";
import { DiagnosisLine, MarkDetails, MarkTable, MilestoneStrip, timeText } from "./parts";
import { spanText } from "./words";

interface AttemptCardProps {
  band: Band;
  bands: Band[];
  machine: string;
  workflow: string | null;
  now: number;
  isCurrent: boolean;
  expected: ExpectedEvent | null;
  isTable: boolean;
  chosen: number | null;
}

const DAY = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short" });
const ZOOM_MAX = 32;

export function bandTitle(band: Band): string {
  if (band.attempt === null) return "Before the first boot";
  const number = band.number === null ? "Boot" : `Boot attempt ${band.number}`;
  return `${number} · ${band.bootenv ?? "local disk"}`;
}

function bandTimes(band: Band, now: number): string {
  const began = `${DAY.format(band.start)} ${timeText(band.start).slice(0, 8)}`;
  if (band.attempt === null) return began;
  const end = band.endedAt ?? now;
  // Nothing ends the attempt of a machine that boots its disk; the time that is up for it says nothing.
  if (bootsDisk(band)) return began;
  const result = band.result ? band.result.replace("_", " ") : "open";
  return `${began} · ${result} · ${spanText(end - band.start)}`;
}

export function AttemptCard(props: AttemptCardProps): JSX.Element {
  const { band, now, isCurrent, expected, isTable, chosen } = props;
  const looked = useSignal<Mark | null>(null);
  const zoom = useSignal(1);
  const comparing = useSignal(false);
  const pinned = band.marks.find((mark) => mark.seq === chosen) ?? null;
  const shown = looked.value ?? pinned;
  const choose = (seq: number) =>
    setQuery({ event: seq === chosen ? undefined : String(seq) }, { replace: true });
  const open = isCurrent && band.endedAt === null && expected !== null;
  return (
    <Card title={bandTitle(band)}>
      <p class="muted">{bandTimes(band, now)}</p>
      {band.attempt !== null && !isCurrent && (
        <DiagnosisLine diagnosis={diagnose(band, now)} onShow={choose} />
      )}
      {band.attempt !== null && !isCurrent && <MilestoneStrip band={band} />}
      <div class="tl-tools">
        {!isTable && (
          <>
            <Button
              onClick={() => void (zoom.value = Math.max(1, zoom.value / 2))}
              disabled={zoom.value <= 1}
            >
              Zoom out
            </Button>
            <Button onClick={() => void (zoom.value = Math.min(ZOOM_MAX, zoom.value * 2))}>Zoom in</Button>
          </>
        )}
        {band.attempt !== null && (
          <Button onClick={() => void (comparing.value = !comparing.value)}>
            {comparing.value ? "End the comparison" : "Compare"}
          </Button>
        )}
      </div>
      {isTable ? (
        <MarkTable band={band} chosen={chosen} />
      ) : (
        <Drawing
          band={band}
          zoom={zoom.value}
          until={open ? now : undefined}
          expected={open ? expected : null}
          chosen={chosen}
          onLook={(mark) => void (looked.value = mark)}
          onChoose={(mark) => choose(mark.seq)}
        />
      )}
      {!isTable && <Details mark={shown} origin={band.start} />}
      {comparing.value && (
        <CompareAttempt band={band} bands={props.bands} machine={props.machine} workflow={props.workflow} />
      )}
    </Card>
  );
}

function Details({ mark, origin }: { mark: Mark | null; origin: number }): JSX.Element {
  return (
    <div class="tl-details">
      {mark ? (
        <MarkDetails mark={mark} origin={origin} />
      ) : (
        <p class="muted">
          Point at an event, or go to it with Tab and the arrow keys, to see its details. Enter keeps them.
        </p>
      )}
    </div>
  );
}
