// What changed last and by whom, and what failed: the newest events that matter.

import type { JSX } from "preact";
import { Link } from "../../app/router";
import { Card } from "../../ui/page";
import { Time, Truncated } from "../../ui/values";
import { actorText, groupRecent, subjectUrl, type RecentEvent, type RecentGroup } from "./summary";

function RecentLine({ group: { event, count } }: { group: RecentGroup }): JSX.Element {
  // What was deleted has no page any more.
  const url = event.kind.endsWith(".deleted") ? undefined : subjectUrl(event.subject);
  const name = event.name || event.subject;
  return (
    <li class="fleet-recent">
      <Time at={event.time} />
      <span>
        <Link to={`/activity?event=${event.seq}`}>{event.kind}</Link>{" "}
        {url === undefined ? name : <Link to={url}>{name}</Link>}
        {count > 1 && ` and ${count - 1} more by the same call`}
      </span>
      <span class="fleet-muted">{`by ${actorText(event)}`}</span>
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
          {groupRecent(events).map((group) => (
            <RecentLine key={group.event.seq} group={group} />
          ))}
        </ol>
      )}
      <Link class="fleet-more" to="/activity">
        All activity
      </Link>
    </Card>
  );
}
