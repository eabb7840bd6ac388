// Whether events arrive, how many wait, and how many were not kept. Nothing is left out without a word here.

import type { JSX } from "preact";
import { connection } from "../../live/feed";
import { Button } from "../../ui/button";
import { countText, plural } from "../../ui/format";
import { StateBadge } from "../../ui/status";
import { HELD_MAX, ROWS_MAX, type EventLog } from "./log";

export function LiveBar({
  log,
  isLive,
  onPause,
}: {
  log: EventLog;
  isLive: boolean;
  onPause: () => void;
}): JSX.Element {
  if (!isLive)
    return (
      <StateBadge state="history" tone="idle" title="The filter ends in the past: nothing new can match" />
    );
  const { state } = connection.value;
  const isPaused = log.isPaused.value;
  const waiting = log.waiting.value;
  const pause = () => {
    onPause();
    if (isPaused) log.resume();
    else log.pause();
  };
  return (
    <>
      <Button size="small" icon={isPaused ? "play" : "hold"} onClick={pause}>
        {isPaused ? "Resume" : "Pause"}
      </Button>
      {isPaused ? (
        <StateBadge state="paused" tone="warn" />
      ) : (
        <StateBadge state={state === "live" ? "live" : state} tone={state === "live" ? "ok" : "warn"} />
      )}
      <span class="small">
        {waiting > 0 && <>{plural(waiting, "new event")} </>}
        {waiting > HELD_MAX && <span class="muted">(the newest {countText(HELD_MAX)} are kept) </span>}
        {log.skipped.value > 0 && (
          <span
            class="skipped"
            title="More events arrived at once than a page can take. A row of the list says where."
          >
            {plural(log.skipped.value, "event")} skipped{" "}
          </span>
        )}
        {log.dropped.value > 0 && (
          <span class="muted">the list keeps the newest {countText(ROWS_MAX)}</span>
        )}
      </span>
    </>
  );
}
