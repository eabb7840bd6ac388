// The log of a job: read by offset, followed while the job runs.
import { useSignal, useSignalEffect } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import { asProblem, call, ref } from "../../api/client";
import type { ApiProblem } from "../../api/client";
import { saveFile } from "../../ui/save-file";
import { Button, LogView, Problem } from "./kit";

const PIECE = 256 * 1024;
/** Most bytes that are read. */
const SHOWN_MAX = 8 << 20;
const FOLLOW_MS = 1_000;

interface JobLogState {
  text: ReadonlySignal<string>;
  problem: ReadonlySignal<ApiProblem | undefined>;
}

async function readPiece(job: string, offset: number, signal: AbortSignal): Promise<Uint8Array> {
  const request = {
    method: "GET",
    path: `/jobs/${ref(job)}/log`,
    query: { offset, limit: PIECE },
    signal,
    quiet: offset > 0,
  };
  return new Uint8Array(await (await call(request)).arrayBuffer());
}

function useJobLog(job: string, isOpen: boolean): JobLogState {
  const text = useSignal("");
  const problem = useSignal<ApiProblem | undefined>(undefined);
  const open = useSignal(isOpen);
  open.value = isOpen;
  useSignalEffect(() => {
    const cancel = new AbortController();
    const decoder = new TextDecoder();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let offset = 0;
    text.value = "";
    const read = async (): Promise<void> => {
      const piece = await readPiece(job, offset, cancel.signal);
      offset += piece.length;
      if (piece.length > 0) text.value += decoder.decode(piece, { stream: true });
      if (cancel.signal.aborted || offset >= SHOWN_MAX) return;
      if (piece.length === PIECE) return read();
      if (open.peek()) timer = setTimeout(() => void read().catch(fail), FOLLOW_MS);
    };
    const fail = (error: unknown) => {
      if (!cancel.signal.aborted) problem.value = asProblem(error);
    };
    void read().catch(fail);
    return () => {
      cancel.abort();
      clearTimeout(timer);
    };
  });
  return { text, problem };
}

interface JobLogProps {
  job: string;
  /** Whether more may come. */
  isOpen: boolean;
  name: string;
}

export function JobLog({ job, isOpen, name }: JobLogProps): JSX.Element {
  const { text, problem } = useJobLog(job, isOpen);
  const log = text.value;
  return (
    <div class="stack">
      {problem.value && <Problem problem={problem.value} />}
      <LogView text={text} label={`Log of ${name}`} follows={isOpen} height="24rem" />
      <div class="row">
        <Button
          size="small"
          icon="download"
          disabled={log === ""}
          onClick={() => saveFile(`${name}.log`, new Blob([log], { type: "text/plain" }))}
        >
          Download
        </Button>
        {log.length >= SHOWN_MAX && <span class="muted">The first 8 MiB are shown and downloaded.</span>}
      </div>
    </div>
  );
}
