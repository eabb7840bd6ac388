// Which events are wanted: read from the address, asked of the API, and held against events that arrive.
// Pure.

import type { ServerEvent } from "../../live/feed";

export type ActivityTab = "events" | "audit";

/** The terms of the address that filter events. `by` is the name of a token, `*` for all. */
export const TERMS = [
  "kind",
  "subject",
  "machine",
  "by",
  "request_id",
  "attempt",
  "since",
  "until",
] as const;
export type Term = (typeof TERMS)[number];
export type EventTerms = Partial<Record<Term, string>>;

export function termsOf(query: URLSearchParams): EventTerms {
  const terms: EventTerms = {};
  for (const name of TERMS) {
    const value = query.get(name)?.trim();
    if (value) terms[name] = value;
  }
  return terms;
}

/** The terms that count on a tab: the audit is what was done with tokens. */
export function effectiveTerms(tab: ActivityTab, terms: EventTerms): EventTerms {
  return tab === "audit" && !terms.by ? { ...terms, by: "*" } : terms;
}

/** The query of `GET /events`, without the place of a page. */
export function apiQuery(terms: EventTerms): Record<string, string> {
  const query: Record<string, string> = {};
  for (const name of TERMS) {
    const value = terms[name];
    if (!value) continue;
    if (name === "by") query["actor"] = `token:${value}`;
    // The API takes one of the two.
    else if (name === "machine" && terms.subject) continue;
    else query[name] = value;
  }
  return query;
}

/** Whether events that happen now can pass: those before a time are history. */
export const isLive = (terms: EventTerms): boolean => !terms.until;

/** Whether an event that arrived passes. `subject` is the API's, with the id of the object in it. */
export function passesTerms(terms: EventTerms, subject: string | undefined, event: ServerEvent): boolean {
  if (subject !== undefined && event.subject !== subject) return false;
  if (terms.kind && !passesKind(terms.kind, event.kind)) return false;
  if (terms.by && !passesActor(terms.by, event.actor)) return false;
  if (terms.request_id && event.request_id !== terms.request_id) return false;
  return !terms.attempt || event.attempt === terms.attempt;
}

export function passesKind(wanted: string, kind: string): boolean {
  return wanted.endsWith("*") ? kind.startsWith(wanted.slice(0, -1)) : kind === wanted;
}

function passesActor(by: string, actor: string): boolean {
  return by === "*" ? actor.startsWith("token:") : actor === `token:${by}`;
}
