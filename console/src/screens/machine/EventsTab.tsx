// The events of the machine, newest first, with a search over kinds and words.
import type { JSX } from "preact";
import { location, setQuery } from "../../app/router";
import { Card, Empty, Json, TextField, Time } from "./kit";
import type { TimelineEvent } from "./timeline/events";
import { detailOf, labelOf, toneOf } from "./timeline/marks";
import type { Timeline } from "./timeline/useTimeline";

const SHOWN_FIRST = 200;

export function matches(event: TimelineEvent, search: string): boolean {
  const wanted = search.trim().toLowerCase();
  if (wanted === "") return true;
  const words = [event.kind, labelOf(event), detailOf(event), event.actor].join(" ").toLowerCase();
  return wanted.endsWith("*") && !wanted.includes(" ")
    ? event.kind.startsWith(wanted.slice(0, -1))
    : words.includes(wanted);
}

export function EventsTab({ timeline }: { timeline: Timeline }): JSX.Element {
  const query = location.value.query;
  const search = query.get("search") ?? "";
  const found = timeline.events.value.filter((event) => matches(event, search)).reverse();
  const shown = query.get("all") === "1" ? found : found.slice(0, SHOWN_FIRST);
  return (
    <Card title={`Events: ${found.length}`}>
      <div class="tl-tools">
        <TextField
          label="Search"
          type="search"
          placeholder="boot.* or a word"
          value={search}
          onInput={(value) => setQuery({ search: value || undefined }, { replace: true })}
        />
        {timeline.since.value && (
          <button type="button" class="linklike" onClick={timeline.showAll}>
            Since <Time at={timeline.since.value} />: show all that is kept
          </button>
        )}
      </div>
      {shown.length === 0 && <Empty title="No event matches" />}
      <ol class="event-list">
        {shown.map((event) => (
          <EventItem key={event.seq} event={event} />
        ))}
      </ol>
      {shown.length < found.length && (
        <button type="button" class="linklike" onClick={() => setQuery({ all: "1" }, { replace: true })}>
          {`Show ${found.length - shown.length} more`}
        </button>
      )}
    </Card>
  );
}

function EventItem({ event }: { event: TimelineEvent }): JSX.Element {
  return (
    <li class={`event ${toneOf(event)}`}>
      <details>
        <summary>
          <Time at={event.at} absolute /> <code>{event.kind}</code>{" "}
          <strong class="wrap">{labelOf(event)}</strong> <span class="muted wrap">{detailOf(event)}</span>
        </summary>
        <p class="muted">
          Event {event.seq}, by {event.actor}, about {event.subject}
        </p>
        <Json value={event.data} />
      </details>
    </li>
  );
}
