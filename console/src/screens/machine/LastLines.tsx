// The end of a failed job's log, where one sees why it failed, with the way to all of it.
import type { JSX } from "preact";
import { setQuery } from "../../app/router";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import type { Job } from "../../api/schema";
import { lastLines, TAIL_BYTES } from "../run/failures";

const LINES = 6;

async function readEnd(job: string, signal: AbortSignal): Promise<string[]> {
  const { log_bytes: bytes = 0 } = await api.get<Job>(`/jobs/${job}`, undefined, { signal, quiet: true });
  if (bytes === 0) return [];
  const query = { offset: Math.max(0, bytes - TAIL_BYTES), limit: TAIL_BYTES };
  return lastLines(await api.text(`/jobs/${job}/log`, query, { signal, quiet: true }), LINES);
}

export function LastLines({ job }: { job: string }): JSX.Element {
  const lines = useQuery(`end of ${job}`, (signal) => readEnd(job, signal)).data.value;
  return (
    <div>
      {lines && lines.length > 0 && (
        <pre class="file-text" role="group" aria-label="The end of the log" tabIndex={0}>
          {lines.join("\n")}
        </pre>
      )}
      <button type="button" class="linklike" onClick={() => setQuery({ tab: "steps", job })}>
        {lines?.length === 0 ? "The log is empty" : "The whole log"}
      </button>
    </div>
  );
}
