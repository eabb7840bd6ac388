// Events of a timeline, with readers for the fields that the drawing needs. Events of other versions of the
// server may lack any of them, so each reader has an answer for that.
import type { Event } from "../../../api/schema";

export interface TimelineEvent {
  seq: number;
  /** Milliseconds since 1970. */
  at: number;
  kind: string;
  attempt: string | null;
  actor: string;
  subject: string;
  data: Record<string, unknown>;
}

export function readEvent(event: Event): TimelineEvent {
  const data = typeof event.data === "object" && event.data !== null ? event.data : {};
  return {
    seq: event.seq,
    at: Date.parse(event.time),
    kind: event.kind,
    attempt: event.attempt ?? null,
    actor: event.actor,
    subject: event.subject,
    data: data as Record<string, unknown>,
  };
}

/** By time; events of one moment by their numbers. Numbers alone are not in the order of time. */
export function inOrder(events: TimelineEvent[]): TimelineEvent[] {
  return [...events].sort((one, other) => one.at - other.at || one.seq - other.seq);
}

/** The events of two reads, each once. */
export function mergeEvents(known: TimelineEvent[], more: TimelineEvent[]): TimelineEvent[] {
  const bySeq = new Map(known.map((event) => [event.seq, event]));
  for (const event of more) bySeq.set(event.seq, event);
  return inOrder([...bySeq.values()]);
}

export function textOf(event: TimelineEvent | undefined, field: string): string {
  const value = event?.data[field];
  return typeof value === "string" ? value : "";
}

export function numberOf(event: TimelineEvent | undefined, field: string): number | null {
  const value = event?.data[field];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function listOf(event: TimelineEvent | undefined, field: string): string[] {
  const value = event?.data[field];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}

export function flagOf(event: TimelineEvent | undefined, field: string): boolean | null {
  const value = event?.data[field];
  return typeof value === "boolean" ? value : null;
}

/** A message inside of an object: the problem of a render that failed. */
export function problemOf(event: TimelineEvent): string {
  const problem = event.data["problem"];
  if (typeof problem !== "object" || problem === null) return "";
  const fields = problem as Record<string, unknown>;
  const place = [fields["template"], fields["line"], fields["column"]].filter((part) => part != null);
  const message = typeof fields["message"] === "string" ? fields["message"] : "";
  return place.length > 0 ? `${place.join(":")}: ${message}` : message;
}
