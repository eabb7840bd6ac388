// Exports events that match a filter, page by page, as JSON lines or CSV. A bound is said, never silent.

import { api } from "../../api/client";
import type { ServerEvent } from "../../live/feed";
import { csvOf } from "./csv";

export const EXPORT_MAX = 50_000;
const PAGE = 1000;

export interface EventPage {
  items: ServerEvent[];
  next: number | null;
}

export type ExportFormat = "json" | "csv";

export interface Exported {
  text: string;
  count: number;
  /** Whether more events match than were exported. */
  isCut: boolean;
}

/** The newest events of a query, up to the bound. `tell` gets the number so far. */
export async function exportEvents(
  query: Record<string, string>,
  format: ExportFormat,
  tell: (count: number) => void,
  signal: AbortSignal,
): Promise<Exported> {
  const events: ServerEvent[] = [];
  let before: number | null | undefined;
  while (before !== null && events.length < EXPORT_MAX) {
    const page: EventPage = await api.get<EventPage>(
      "/events",
      { ...query, order: "newest", limit: PAGE, before },
      { quiet: events.length > 0, signal },
    );
    events.push(...page.items);
    before = page.next;
    tell(events.length);
  }
  const isCut = before !== null || events.length > EXPORT_MAX;
  const kept = events.slice(0, EXPORT_MAX);
  return { text: format === "csv" ? csvOf(kept) : jsonLines(kept), count: kept.length, isCut };
}

const jsonLines = (events: readonly ServerEvent[]): string =>
  events.map((event) => `${JSON.stringify(event)}\n`).join("");
