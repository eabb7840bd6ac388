// `useCollection`: a list of the API that is whole and stays current. The rules are in live/merge.ts; this
// file has the calls and their times.

import { signal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { api, asProblem, generation, type ApiProblem, type Page } from "../api/client";
import { feedPosition, onBatches } from "./feed";
import type { Change, ChangeBatch } from "./follow";
import { keyField, kindOf, LiveRows, sortRows, valueAt } from "./merge";

export interface CollectionOptions {
  /** Fields to trim the objects to; the key and `commit` come by themselves. */
  fields?: readonly string[];
  filter?: URLSearchParams;
  /** As the API: `-updated_at,name`. */
  sort?: string;
}

export interface Collection<T> {
  rows: ReadonlySignal<T[]>;
  /** Objects that pass the filter, by the server. */
  total: ReadonlySignal<number>;
  state: ReadonlySignal<"loading" | "live" | "problem">;
  problem: ReadonlySignal<ApiProblem | undefined>;
  /** Whether `rows` has all; false while pages come, and when there are more than are kept. */
  isWhole: ReadonlySignal<boolean>;
  reload: () => void;
}

const PAGE = 1000;
/** Rows of the first page: as many as fill a screen, so that they are there at once. */
const FIRST_PAGE = 200;
/** Most rows of a list; a filter shows what lies behind them. */
export const ROWS_MAX = 50_000;
/** At most one request a second brings what changed. */
const REFRESH_MS = 1000;
/** Pages of changes that a gap is filled with; beyond that the list is read again. */
const GAP_PAGES_MAX = 20;

/** A list of the API, live, for the life of the component. */
export function useCollection<T>(name: string, options: CollectionOptions = {}): Collection<T> {
  const filter = options.filter?.toString() ?? "";
  const key = JSON.stringify([name, options.fields ?? [], filter, options.sort ?? ""]);
  const list = useMemo(() => new LiveList<T>(name, options), [key]);
  useEffect(() => list.begin(), [list]);
  return list;
}

class LiveList<T> implements Collection<T> {
  readonly rows = signal<T[]>([]);
  readonly total = signal(0);
  readonly state = signal<"loading" | "live" | "problem">("loading");
  readonly problem = signal<ApiProblem | undefined>(undefined);
  readonly isWhole = signal(false);
  private readonly live: LiveRows<T>;
  private isLoaded = false;
  private isBusy = false;
  private cancel = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private refreshed = 0;
  private readonly kind: string;
  private readonly keyOf: (row: T) => string;

  constructor(
    private readonly name: string,
    private readonly options: CollectionOptions,
  ) {
    this.kind = kindOf(name);
    const field = keyField(name);
    this.keyOf = (row) => String(valueAt(row, field) ?? "");
    this.live = new LiveRows<T>(this.keyOf);
  }

  begin(): () => void {
    const ends = [onBatches((batch) => this.hear(batch)), generation.subscribe(() => this.reload())];
    return () => {
      ends.forEach((end) => end());
      clearTimeout(this.timer);
      this.cancel.abort();
    };
  }

  reload = (): void => {
    this.cancel.abort();
    this.cancel = new AbortController();
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isBusy = false;
    this.isLoaded = false;
    void this.load(this.cancel.signal);
  };

  private query(extra: Record<string, string>): URLSearchParams {
    const query = new URLSearchParams(this.options.filter);
    const fields = this.options.fields ?? [];
    const all = [keyField(this.name), "commit", ...fields];
    if (fields.length > 0) query.set("fields", [...new Set(all)].join(","));
    for (const [name, value] of Object.entries(extra)) query.set(name, value);
    return query;
  }

  /** All pages; the first one is shown at once. */
  private async load(signal: AbortSignal): Promise<void> {
    const fresh = new Map<string, T>();
    let first: Page<T> | undefined;
    let cursor: string | null = null;
    try {
      do {
        const options = { signal, quiet: cursor !== null };
        const page: Page<T> = await api.get<Page<T>>(`/${this.name}`, this.pageQuery(cursor), options);
        for (const row of page.items) fresh.set(this.keyOf(row), row);
        cursor = page.next;
        this.total.value = page.total;
        if (first === undefined && this.live.rows.size === 0) this.rows.value = [...fresh.values()];
        first ??= page;
      } while (cursor !== null && fresh.size < ROWS_MAX);
    } catch (error) {
      if (signal.aborted) return;
      this.problem.value = asProblem(error);
      this.state.value = "problem";
      return;
    }
    if (signal.aborted || !first) return;
    this.loaded(fresh, first, cursor === null);
  }

  private pageQuery(cursor: string | null): URLSearchParams {
    const extra: Record<string, string> = { limit: String(cursor === null ? FIRST_PAGE : PAGE) };
    if (this.options.sort) extra.sort = this.options.sort;
    if (cursor !== null) extra.cursor = cursor;
    return this.query(extra);
  }

  private loaded(rows: Map<string, T>, first: Page<T>, isWhole: boolean): void {
    this.live.load(rows, first.commit, first.epoch);
    this.isLoaded = true;
    this.isWhole.value = isWhole;
    this.problem.value = undefined;
    this.show();
    this.state.value = "live";
    const at = feedPosition();
    if (at) this.hear({ from: at.commit, to: at.commit, epoch: at.epoch, changes: [] });
  }

  private show(): void {
    const unsorted = [...this.live.rows.values()];
    const rows = this.options.sort ? sortRows(unsorted, this.options.sort) : unsorted;
    this.rows.value = rows;
    if (this.isWhole.peek()) this.total.value = rows.length;
  }

  private hear(batch: ChangeBatch): void {
    if (!this.isLoaded) return;
    const verdict = this.live.hear(batch, this.kind);
    if (verdict === "reload") return this.reload();
    if (verdict === "show") this.show();
    if (!this.isBusy) this.live.settle();
    this.refreshSoon();
  }

  private refreshSoon(): void {
    const isNeeded = this.live.gap !== undefined || this.live.unread !== undefined;
    if (!isNeeded || this.timer !== undefined || this.isBusy) return;
    const wait = Math.max(0, this.refreshed + REFRESH_MS - Date.now());
    this.timer = setTimeout(() => void this.refresh(this.cancel.signal), wait);
  }

  /** Fills a gap, then reads what changed, in one request where one page holds it. */
  private async refresh(signal: AbortSignal): Promise<void> {
    this.timer = undefined;
    this.isBusy = true;
    this.refreshed = Date.now();
    try {
      if (this.live.gap) await this.fillGap(this.live.gap, signal);
      if (this.live.unread && !signal.aborted) await this.readChanged(this.live.unread.after, signal);
      this.problem.value = undefined;
    } catch (error) {
      if (signal.aborted) return;
      const problem = asProblem(error);
      if (problem.is("read_again")) return this.reload();
      this.problem.value = problem;
    }
    if (signal.aborted) return;
    this.isBusy = false;
    this.refreshSoon();
  }

  private async fillGap(gap: { after: number; epoch: string }, signal: AbortSignal): Promise<void> {
    const changes: Change[] = [];
    let query: Record<string, string> = { after: String(gap.after), epoch: gap.epoch };
    for (let pages = 0; pages < GAP_PAGES_MAX; pages += 1) {
      const page = await api.get<{ items: Change[]; next: string | null; commit: number }>(
        "/changes",
        { ...query, kind: this.kind, limit: String(PAGE) },
        { signal, quiet: true },
      );
      if (signal.aborted) return;
      changes.push(...page.items);
      if (page.next === null) {
        const verdict = this.live.fillGap(changes, page.commit, this.kind);
        return verdict === "reload" ? this.reload() : this.show();
      }
      query = { cursor: page.next };
    }
    this.reload();
  }

  private async readChanged(after: number, signal: AbortSignal): Promise<void> {
    const items: T[] = [];
    let commit: number | undefined;
    let cursor: string | null = null;
    do {
      const extra: Record<string, string> = { "commit[gt]": String(after), limit: String(PAGE) };
      if (cursor !== null) extra.cursor = cursor;
      const page: Page<T> = await api.get<Page<T>>(`/${this.name}`, this.query(extra), {
        signal,
        quiet: true,
      });
      items.push(...page.items);
      commit ??= page.commit;
      cursor = page.next;
    } while (cursor !== null);
    if (signal.aborted) return;
    this.live.takeChanged(items, commit);
    this.show();
  }
}

export { useObject, type LiveObject } from "./object";
