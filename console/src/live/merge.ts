// What a list in memory does with the changes of the feed; pure. Start at `LiveRows`. Batches of changes
// that are known already are ignored; one that begins behind what is known leaves a gap, which `GET
// /changes` fills.

import { joinBatches, type Change, type ChangeBatch } from "./follow";

export type Row = Record<string, unknown>;

/** The value of an object at a dotted path: `status.state`. */
export function valueAt(row: unknown, path: string): unknown {
  let value = row;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Row)[part];
  }
  return value;
}

/** The noun's kind, as changes and events name it: `client_classes` is `client_class`. */
export function kindOf(collection: string): string {
  return collection.endsWith("classes") ? collection.slice(0, -2) : collection.replace(/s$/, "");
}

/** The field that is an object's key in changes and addresses. */
export function keyField(collection: string): "id" | "address" | "name" {
  if (["machines", "jobs", "runs", "contents", "sessions"].includes(collection)) return "id";
  return ["leases", "reservations"].includes(collection) ? "address" : "name";
}

/** What the caller has to do after a batch. */
export type BatchVerdict = "nothing" | "show" | "reload";

/**
 * The rows of a list, and up to where they are known: all changes up to `known` were noted, and all rows are
 * as of `seen` or newer, but for the `dirty` ones, which changed and are not read yet.
 */
export class LiveRows<T> {
  rows = new Map<string, T>();
  private known = 0;
  private seen = 0;
  private epoch = "";
  private dirty = new Map<string, number>();
  /** When objects were deleted, while an answer from before that may be under way. */
  private deleted = new Map<string, number>();
  /** What came while changes were missing before it. */
  private waiting: ChangeBatch | undefined;

  constructor(private readonly keyOf: (row: T) => string) {}

  /** The list was read; its oldest page at `commit`. */
  load(rows: Map<string, T>, commit: number, epoch: string): void {
    this.rows = rows;
    this.known = commit;
    this.seen = commit;
    this.epoch = epoch;
    this.dirty = new Map();
    this.deleted = new Map();
    this.waiting = undefined;
  }

  /** Where the missing changes begin, if some are missing. */
  get gap(): { after: number; epoch: string } | undefined {
    return this.waiting && { after: this.known, epoch: this.epoch };
  }

  /** After which commit changed rows have to be read, if some have to. */
  get unread(): { after: number } | undefined {
    return this.dirty.size > 0 ? { after: this.seen } : undefined;
  }

  hear(batch: ChangeBatch, kind: string): BatchVerdict {
    if (batch.epoch !== this.epoch) return "reload";
    if (batch.from > this.known) {
      const joined = this.waiting && joinBatches(this.waiting, batch);
      this.waiting = joined ?? batch;
      return "nothing";
    }
    if (batch.to <= this.known) return "nothing";
    const isChanged = this.note(batch.changes, kind);
    this.known = batch.to;
    return isChanged ? "show" : "nothing";
  }

  /** The changes that were missing, up to `commit`. */
  fillGap(changes: readonly Change[], commit: number, kind: string): BatchVerdict {
    const isChanged = this.note(changes, kind);
    this.known = Math.max(this.known, commit);
    const { waiting } = this;
    this.waiting = undefined;
    const verdict = waiting ? this.hear(waiting, kind) : "nothing";
    return verdict === "nothing" && isChanged ? "show" : verdict;
  }

  /** Whether a row left. */
  private note(changes: readonly Change[], kind: string): boolean {
    let isChanged = false;
    for (const change of changes) {
      if (change.kind !== kind) continue;
      const has = Number(valueAt(this.rows.get(change.key), "commit") ?? 0);
      if (change.what === "deleted") {
        if ((this.dirty.get(change.key) ?? 0) <= change.commit) this.dirty.delete(change.key);
        this.deleted.set(change.key, change.commit);
        if (has < change.commit) isChanged = this.rows.delete(change.key) || isChanged;
      } else if (change.commit > Math.max(this.seen, has)) {
        this.dirty.set(change.key, change.commit);
      } else if (change.commit > has) {
        // An answer that was read after this change did not have the object: it passes no longer.
        isChanged = this.rows.delete(change.key) || isChanged;
      }
    }
    return isChanged;
  }

  /** The rows that changed after `unread.after`, read at `commit`: the others that changed pass no longer. */
  takeChanged(items: readonly T[], commit: number): void {
    const present = new Set<string>();
    for (const item of items) {
      const key = this.keyOf(item);
      present.add(key);
      const has = Number(valueAt(item, "commit") ?? 0);
      if (has > (this.deleted.get(key) ?? 0)) this.rows.set(key, item);
    }
    for (const [key, at] of this.deleted) {
      if (at <= commit) this.deleted.delete(key);
    }
    for (const [key, at] of this.dirty) {
      if (at > commit) continue;
      this.dirty.delete(key);
      if (!present.has(key)) this.rows.delete(key);
    }
    this.seen = Math.max(this.seen, commit);
  }

  /** Nothing is unread and no answer is under way: the next read may begin at what is known. */
  settle(): void {
    if (this.dirty.size > 0) return;
    this.deleted.clear();
    this.seen = Math.max(this.seen, this.known);
  }
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Whether there is nothing to compare. */
export const isAbsent = (value: unknown): boolean => value === undefined || value === null || value === "";

/** Compares two values as the tables show them; what is absent comes last. */
export function compareValues(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (isAbsent(a) || isAbsent(b)) return Number(isAbsent(a)) - Number(isAbsent(b));
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(String(a), String(b));
}

/**
 * Sorts by the API's `sort`: `-updated_at,name`. What is absent comes last. The values are read once a row.
 */
export function sortRows<T>(rows: readonly T[], sort: string): T[] {
  const keys = sort.split(",").filter((key) => key !== "");
  const paths = keys.map((key) => key.replace(/^-/, ""));
  const signs = keys.map((key) => (key.startsWith("-") ? -1 : 1));
  const keyed = rows.map((row) => ({ row, values: paths.map((path) => valueAt(row, path)) }));
  keyed.sort((a, b) => {
    for (let index = 0; index < paths.length; index += 1) {
      const [left, right] = [a.values[index], b.values[index]];
      const order = compareValues(left, right);
      if (order !== 0) return isAbsent(left) || isAbsent(right) ? order : order * (signs[index] ?? 1);
    }
    return 0;
  });
  return keyed.map(({ row }) => row);
}
