// What a follower of a stream knows and does next; pure, so that "nothing lost, nothing doubled" can be
// tested without a network. `ChangeFollower` for /changes/stream, `EventFollower` for /events/stream;
// live/source.ts has the connection.

import type { SseMessage } from "./sse";

export interface Change {
  commit: number;
  kind: string;
  key: string;
  revision: number;
  what: "written" | "deleted";
}

export interface Position {
  commit: number;
  epoch: string;
}

/** All changes after the commit `from` up to the commit `to`, each object once. */
export interface ChangeBatch {
  from: number;
  to: number;
  epoch: string;
  changes: Change[];
}

export interface ServerEvent {
  seq: number;
  time: string;
  kind: string;
  subject: string;
  actor: string;
  data: unknown;
  attempt?: string | null;
  request_id?: string | null;
}

/** Most changes between two positions that are kept; beyond that reading everything again is cheaper. */
export const PENDING_MAX = 20_000;

export type FollowerOutput =
  | { type: "changes"; batch: ChangeBatch }
  /** What was read before counts no more: read everything again. */
  | { type: "reset"; position: Position };

/**
 * Follows the changes. They are handed on only when the position behind them is known: what a broken
 * connection leaves between two positions is dropped, and comes again after `resumeId`.
 */
export class ChangeFollower {
  private position: Position | undefined;
  private pending = new Map<string, Change>();
  private mustReset = false;

  /** What goes into `Last-Event-ID`; `undefined` begins now. */
  get resumeId(): string | undefined {
    return this.position && `${this.position.commit}@${this.position.epoch}`;
  }

  get at(): Position | undefined {
    return this.position;
  }

  /** A new connection begins: what came without its position is not known to be whole. */
  connecting(): void {
    this.pending.clear();
  }

  /** The server answered 410 `read_again`: the next connection begins now, and everything is read again. */
  forget(): void {
    this.pending.clear();
    this.position = undefined;
    this.mustReset = true;
  }

  take(message: SseMessage): FollowerOutput | undefined {
    if (message.event === "position") return this.reach(JSON.parse(message.data) as Position);
    if (message.event !== "message") return undefined;
    const change = JSON.parse(message.data) as Change;
    if (this.pending.size >= PENDING_MAX) this.mustReset = true;
    else this.pending.set(`${change.kind}:${change.key}`, change);
    return undefined;
  }

  private reach(position: Position): FollowerOutput | undefined {
    const before = this.position;
    const changes = [...this.pending.values()];
    this.pending.clear();
    this.position = position;
    const isOther = before !== undefined && before.epoch !== position.epoch;
    if (this.mustReset || isOther || (before && position.commit < before.commit)) {
      this.mustReset = false;
      return { type: "reset", position };
    }
    if (!before || position.commit === before.commit) return undefined;
    const { commit: to, epoch } = position;
    return { type: "changes", batch: { from: before.commit, to, epoch, changes } };
  }
}

/** Two batches that follow each other as one; `undefined` if something lies between them. */
export function joinBatches(a: ChangeBatch, b: ChangeBatch): ChangeBatch | undefined {
  if (a.epoch !== b.epoch || b.from > a.to) return undefined;
  const byKey = new Map<string, Change>();
  for (const change of [...a.changes, ...b.changes]) byKey.set(`${change.kind}:${change.key}`, change);
  return {
    from: Math.min(a.from, b.from),
    to: Math.max(a.to, b.to),
    epoch: b.epoch,
    changes: [...byKey.values()],
  };
}

/** Follows the events by their numbers. */
export class EventFollower {
  private last: number | undefined;

  get resumeId(): string | undefined {
    return this.last === undefined ? undefined : String(this.last);
  }

  /** The event, unless it was handed on before. */
  take(message: SseMessage): ServerEvent | undefined {
    if (message.event !== "message") return undefined;
    const event = JSON.parse(message.data) as ServerEvent;
    if (this.last !== undefined && event.seq <= this.last) return undefined;
    this.last = event.seq;
    return event;
  }

  /** The numbers begin anew (the database was restored). */
  forget(): void {
    this.last = undefined;
  }
}

/**
 * How long to wait before the next try: doubled, at most ten seconds, spread so that tabs do not come at
 * once.
 */
export function retryDelay(tries: number, random: number): number {
  const whole = Math.min(10_000, 500 * 2 ** Math.min(tries, 6));
  return Math.round(whole * (0.5 + random / 2));
}
