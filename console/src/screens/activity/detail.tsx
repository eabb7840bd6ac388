// One event: when, what, about what, by whom, in which request; a change as a diff; all its fields.

import { useMemo } from "preact/hooks";
import type { JSX } from "preact";
import type { ServerEvent } from "../../live/feed";
import { Link } from "../../app/router";
import { Copy, IconButton } from "../../ui/button";
import { StateBadge } from "../../ui/status";
import { KeyValue, Time } from "../../ui/values";
import { kindOfSubject } from "../objects/links";
import { Actor, Subject } from "./columns";
import { describe, diffLines, fieldsOf, patchOf, toneOfKind } from "./describe";
import type { MachineNames } from "./names";

export function EventDetail({
  event,
  names,
  onClose,
}: {
  event: ServerEvent;
  names: MachineNames;
  onClose: () => void;
}): JSX.Element {
  const steps = patchOf(event);
  const json = useMemo(() => JSON.stringify(event.data, null, 2), [event]);
  const secrets = fieldsOf(event)["secrets"];
  return (
    <aside class="card event-detail" aria-label={`Event ${event.seq}`}>
      <header>
        <h2>
          <StateBadge state={event.kind} label={event.kind} tone={toneOfKind(event.kind)} />
        </h2>
        <span>
          <Copy text={() => JSON.stringify(event, null, 2)} label="Copy the event as JSON" />
          <IconButton icon="close" label="Close the event" onClick={onClose} />
        </span>
      </header>
      <KeyValue
        pairs={[
          ["Number", String(event.seq)],
          ["Time", <Time at={event.time} absolute />],
          [
            "About",
            <>
              <span class="muted">{kindOfSubject(event.subject)}</span>{" "}
              <Subject subject={event.subject} names={names} />
            </>,
          ],
          [
            "By",
            <>
              <span class="muted">{event.actor.startsWith("token:") ? "token" : ""}</span>{" "}
              <Actor actor={event.actor} names={names} />
            </>,
          ],
          ["Request", event.request_id && <RequestLink id={event.request_id} />],
          [
            "Boot attempt",
            event.attempt && <Link to={`/activity?attempt=${event.attempt}`}>{event.attempt}</Link>,
          ],
          ["What", describe(event)],
        ]}
      />
      <p class="row small">
        <Link to={`/activity?subject=${encodeURIComponent(event.subject)}`}>All events about it</Link>
        <Link to={`/activity?kind=${event.kind}`}>All of this kind</Link>
        <Link to={`/activity?tab=audit&subject=${encodeURIComponent(event.subject)}`}>Who changed it</Link>
      </p>
      {steps && <PatchView lines={diffLines(steps)} />}
      {Array.isArray(secrets) && secrets.length > 0 && (
        <p class="small">Secret values that changed and are not shown: {secrets.map(String).join(", ")}</p>
      )}
      <h3>Fields</h3>
      <pre class="event-json" tabIndex={0} aria-label="Fields of the event">
        {json}
      </pre>
    </aside>
  );
}

function RequestLink({ id }: { id: string }): JSX.Element {
  return (
    <>
      <Link to={`/activity?request_id=${encodeURIComponent(id)}`}>{id}</Link>{" "}
      <Copy text={id} label="Copy the request's id" />
    </>
  );
}

const SIGN_CLASSES: Record<string, string> = { "+": "added", "-": "removed", "@": "place" };

function PatchView({ lines }: { lines: readonly string[] }): JSX.Element {
  return (
    <>
      <h3>Change</h3>
      <pre class="patch" tabIndex={0} aria-label="The change">
        {lines.map((line, index) => (
          <div key={index} class={SIGN_CLASSES[line[0] ?? ""] ?? ""}>
            {line}
          </div>
        ))}
      </pre>
    </>
  );
}
