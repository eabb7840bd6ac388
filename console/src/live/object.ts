// `useObject`: one object of the API that stays current.

import { signal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { api, asProblem, generation, type ApiProblem } from "../api/client";
import { feedPosition, onBatches } from "./feed";
import type { ChangeBatch } from "./follow";
import { keyField, kindOf, valueAt } from "./merge";

export interface LiveObject<T> {
  value: ReadonlySignal<T | undefined>;
  problem: ReadonlySignal<ApiProblem | undefined>;
  loading: ReadonlySignal<boolean>;
  /** The object was deleted while it was shown; `value` has its last state. */
  isGone: ReadonlySignal<boolean>;
  reload: () => void;
}

/** One object, live. `ref` may be any reference that the API takes. */
export function useObject<T>(name: string, ref: string): LiveObject<T> {
  const object = useMemo(() => new FollowedObject<T>(name, ref), [name, ref]);
  useEffect(() => object.begin(), [object]);
  return object;
}

class FollowedObject<T> implements LiveObject<T> {
  readonly value = signal<T | undefined>(undefined);
  readonly problem = signal<ApiProblem | undefined>(undefined);
  readonly loading = signal(true);
  readonly isGone = signal(false);
  private cancel = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isReading = false;
  private isStale = false;
  private seen = 0;
  /** Up to which commit the feed said what changed. */
  private known = 0;

  constructor(
    private readonly name: string,
    private readonly ref: string,
  ) {}

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
    this.isReading = false;
    void this.read(this.cancel.signal, false);
  };

  private async read(signal: AbortSignal, quiet: boolean): Promise<void> {
    this.isReading = true;
    this.isStale = false;
    this.loading.value = true;
    this.known = Math.max(this.known, feedPosition()?.commit ?? 0);
    try {
      const value = await api.get<T>(`/${this.name}/${encodeURIComponent(this.ref)}`, undefined, {
        signal,
        quiet,
      });
      if (signal.aborted) return;
      this.value.value = value;
      this.seen = Number(valueAt(value, "commit") ?? 0);
      this.problem.value = undefined;
      this.isGone.value = false;
    } catch (error) {
      if (signal.aborted) return;
      const problem = asProblem(error);
      if (problem.status === 404 && this.value.peek() !== undefined) this.isGone.value = true;
      else this.problem.value = problem;
    }
    this.loading.value = false;
    this.isReading = false;
    if (this.isStale) this.readSoon();
  }

  private hear(batch: ChangeBatch): void {
    const key = String(valueAt(this.value.peek(), keyField(this.name)) ?? this.ref);
    const kind = kindOf(this.name);
    const own = batch.changes.find((change) => change.kind === kind && change.key === key);
    const isMissing = batch.from > this.known;
    this.known = Math.max(this.known, batch.to);
    if (isMissing || (own && own.commit > this.seen)) this.readSoon();
  }

  private readSoon(): void {
    this.isStale = true;
    if (this.isReading || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.read(this.cancel.signal, true);
    }, 200);
  }
}
