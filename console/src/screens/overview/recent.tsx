// What changed last and by whom, and what failed: the newest events that matter.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { Card } from "../../ui/page";
import { Time, Truncated } from "../../ui/values";
import { actorText, subjectUrl, type RecentEvent } from "./summary";

function RecentLine({ event }: { event: RecentEvent }): JSX.Element {
  const url = subjectUrl(event.subject);
  const name = event.name || event.subject;
  return (
    <li class="fleet-recent">
      <Time at={event.time} />
      <span>
        <Link to={`/activity?event=${event.seq}`}>{event.kind}</Link>{" "}
        {url === undefined ? name : <Link to={url}>{name}</Link>}
      </span>
      <span class="fleet-muted">{`by ${actorText(event.actor)}`}</span>
      {event.text !== undefined && event.text !== "" && <Truncated text={event.text} />}
    </li>
  );
}

export function Recent({ events }: { events: readonly RecentEvent[] }): JSX.Element {
  return (
    <Card title="What changed last">
      {events.length === 0 ? (
        <p class="fleet-calm">Nobody changed anything yet.</p>
      ) : (
        <ol class="fleet-recents">
          {events.map((event) => (
            <RecentLine key={event.seq} event={event} />
          ))}
        </ol>
      )}
      <Link class="fleet-more" to="/activity">
        All activity
      </Link>
    </Card>
  );
}
