// Which calls the view in front has made, so that the page can show them as commands. Nothing else reads
// them.

import { signal } from "@preact/signals";

export interface Call {
  method: string;
  /** Without `/api/v1`. */
  path: string;
  query: string;
  body: string | undefined;
  media: string | undefined;
  status: number;
  milliseconds: number;
}

/** Most calls that are kept for a view; the oldest are forgotten. */
const CALLS_MAX = 30;
/** Longest body that a call keeps. */
const BODY_MAX = 4000;

/** The calls of the view in front, oldest first. Following pages of one list count as one call. */
export const calls = signal<Call[]>([]);

export function noteCall(call: Call): void {
  const body = call.body && call.body.length > BODY_MAX ? `${call.body.slice(0, BODY_MAX)}…` : call.body;
  const kept = calls.peek().filter((other) => !isSame(other, call));
  calls.value = [...kept, { ...call, query: withoutPosition(call.query), body }].slice(-CALLS_MAX);
}

export function forgetCalls(): void {
  calls.value = [];
}

function isSame(a: Call, b: Call): boolean {
  return (
    a.method === b.method && a.path === b.path && a.query === withoutPosition(b.query) && a.body === b.body
  );
}

/** The query without what only says where a page begins. */
export function withoutPosition(query: string): string {
  const parts = new URLSearchParams(query);
  for (const name of ["cursor", "commit[gt]"]) parts.delete(name);
  return readable(parts);
}

/** A query with the signs of filters left readable: `status.state[in]=failed,held`. */
export function readable(parts: URLSearchParams): string {
  return parts
    .toString()
    .replace(/%5B/g, "[")
    .replace(/%5D/g, "]")
    .replace(/%2C/g, ",")
    .replace(/%3A/g, ":")
    .replace(/\*/g, "*")
    .replace(/%2A/g, "*");
}
