// The last events about an object, and the way to all of them.

import type { JSX } from "preact";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { Link } from "../../app/router";
import { useEvents, type ServerEvent } from "../../live/feed";
import { Card } from "../../ui/page";
import { Empty, Loading, Problem, StateBadge } from "../../ui/status";
import { Time } from "../../ui/values";
import { describe, toneOfKind } from "../activity/describe";

const LIMIT = 50;

export function ObjectEvents({ word, objectKey }: { word: string; objectKey: string }): JSX.Element {
  const subject = `${word}:${objectKey}`;
  const { data, problem, reload } = useQuery(subject, (signal) =>
    api.get<{ items: ServerEvent[]; next: number | null }>(
      "/events",
      { subject, order: "newest", limit: LIMIT },
      { signal },
    ),
  );
  useEvents({ subject }, (events) => {
    if (events.length > 0) reload();
  });
  const path = `/activity?subject=${encodeURIComponent(subject)}`;
  if (problem.value && !data.value) return <Problem problem={problem.value} onRetry={reload} />;
  if (!data.value) return <Loading height={200} />;
  const { items, next } = data.value;
  return (
    <Card title="Events" actions={<Link to={path}>In Activity</Link>}>
      {items.length === 0 && (
        <Empty title="No events">Those about it may be older than what is kept.</Empty>
      )}
      <ul class="object-events">
        {items.map((event) => (
          <li key={event.seq}>
            <Time at={event.time} />{" "}
            <Link to={`${path}&event=${event.seq}`}>
              <StateBadge state={event.kind} label={event.kind} tone={toneOfKind(event.kind)} />
            </Link>{" "}
            {describe(event)} <span class="muted">by {event.actor.replace(/^token:/, "")}</span>
          </li>
        ))}
      </ul>
      {next !== null && (
        <p class="small">
          <Link to={path}>Older events</Link>
        </p>
      )}
    </Card>
  );
}
