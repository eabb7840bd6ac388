// "The call behind it": what this view asked of the API, to be copied and automated.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { calls, type Call } from "../api/calls";
import { commandOf, curlOf } from "../api/commands";
import { Button, Copy } from "./button";
import { Dialog } from "./dialog";
import { StateBadge } from "./status";

export function CallBehind(): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button
        kind="quiet"
        size="small"
        icon="code"
        title="The calls behind this view"
        onClick={() => setOpen(true)}
      >
        API
      </Button>
      {isOpen && (
        <Dialog title="The calls behind this view" wide onClose={() => setOpen(false)}>
          <p class="muted">
            The console uses the public API and nothing else. <code>METALWRIGHT_TOKEN</code> is a token of
            yours.
          </p>
          <div class="call-list">
            {[...calls.value].reverse().map((call) => (
              <CallEntry key={`${call.method}${call.path}${call.query}`} call={call} />
            ))}
            {calls.value.length === 0 && <p>This view has made no call yet.</p>}
          </div>
        </Dialog>
      )}
    </>
  );
}

function CallEntry({ call }: { call: Call }): JSX.Element {
  const command = commandOf(call);
  const curl = curlOf(call, window.location.origin);
  const isGood = call.status >= 200 && call.status < 300;
  return (
    <div class="call">
      <div class="row">
        <strong>
          {call.method} {call.path}
        </strong>
        <StateBadge state={String(call.status)} tone={isGood ? "ok" : "bad"} />
        <span class="muted small">{call.milliseconds} ms</span>
      </div>
      {command && (
        <div class="line">
          <pre>{command}</pre>
          <Copy text={command} label="Copy the command" />
        </div>
      )}
      <div class="line">
        <pre>{curl}</pre>
        <Copy text={curl} label="Copy the curl command" />
      </div>
    </div>
  );
}
