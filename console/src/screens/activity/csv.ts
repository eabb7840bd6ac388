// Events as CSV. Pure.

import type { ServerEvent } from "../../live/feed";
import { csvCell } from "../../ui/csv";
import { describe } from "./describe";

export function csvOf(events: readonly ServerEvent[]): string {
  const head = "seq,time,kind,subject,actor,request_id,attempt,text,data\r\n";
  const lines = events.map((event) =>
    [
      String(event.seq),
      event.time,
      event.kind,
      event.subject,
      event.actor,
      event.request_id ?? "",
      event.attempt ?? "",
      describe(event),
      JSON.stringify(event.data),
    ]
      .map(csvCell)
      .join(","),
  );
  return head + lines.map((line) => `${line}\r\n`).join("");
}
