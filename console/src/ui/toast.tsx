// Short messages in the corner. One with a problem stays until it is closed.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { asProblem, type ApiProblem } from "../api/problem";
import { IconButton } from "./button";
import "./toast.css";

interface Message {
  id: number;
  text: string;
  problem: ApiProblem | undefined;
}

const MESSAGES_MAX = 5;
const SHOWN_MS = 6000;
const messages = signal<Message[]>([]);
let nextId = 1;

/** Says what was done, or with `problem` what was not. */
export function toast(text: string, options: { problem?: unknown } = {}): void {
  const problem = options.problem === undefined ? undefined : asProblem(options.problem);
  const id = nextId++;
  messages.value = [...messages.value, { id, text, problem }].slice(-MESSAGES_MAX);
  if (!problem) setTimeout(() => close(id), SHOWN_MS);
}

function close(id: number): void {
  messages.value = messages.value.filter((message) => message.id !== id);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {messages.value.map(({ id, text, problem }) => (
        <div key={id} class={`toast ${problem ? "bad" : "ok"}`}>
          <div class="text">
            <strong>{text}</strong>
            {problem && <div>{problem.detail}</div>}
            {problem?.problems.slice(0, 5).map((fault) => (
              <div class="small">
                {fault.pointer} {fault.message}
              </div>
            ))}
            {problem?.requestId && <div class="muted small">Request {problem.requestId}</div>}
          </div>
          <IconButton size="small" icon="close" label="Close the message" onClick={() => close(id)} />
        </div>
      ))}
    </div>
  );
}
