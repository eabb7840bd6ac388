// The state of the live feed, in the header.

import type { JSX } from "preact";
import { connection } from "../live/feed";
import { durationText } from "../ui/format";
import { now } from "../ui/values";

const WORDS = {
  live: "live",
  connecting: "connecting",
  lost: "connection lost",
  "signed-out": "signed out",
  refused: "not live: your token may not read changes",
};

export function ConnectionState(): JSX.Element {
  const { state, since } = connection.value;
  const away =
    state === "lost"
      ? ` for ${durationText(Math.max(1000, Math.round((now.value - since) / 1000) * 1000))}`
      : "";
  const about =
    state === "live"
      ? "The page is current."
      : "What is shown may be old. The console reconnects by itself.";
  return (
    <span class={`connection ${state}`} role="status" title={about}>
      <span class="dot" aria-hidden="true" />
      <span class="word">
        {WORDS[state]}
        <span aria-hidden="true">{away}</span>
      </span>
    </span>
  );
}
