// A bulk action on any number of machines: calls of `POST /bulk` of a bounded size, one after the other, with
// progress. Machines for which a call had no time are sent again; a busy server is asked again later.

import type { BulkAction, BulkBatch } from "./verbs";
import type { BulkItem, BulkReport } from "./report";

/** Machines of one call: small enough that progress shows and a call ends within seconds. */
export const CHUNK_MAX = 250;
/** Machines that the server works on at once. */
const CONCURRENCY = 8;
/** How often machines that were not tried, and calls that were turned away, are sent again. */
const TRIES_MAX = 5;
const WAIT_MS = 1000;

export interface BulkCall {
  kind: "machine";
  verb: string;
  refs: string[];
  details: Record<string, unknown>;
  dry_run: boolean;
  concurrency: number;
  force?: boolean;
}

export interface BulkRunner {
  send: (call: BulkCall) => Promise<BulkReport>;
  /** Whether a refused call is worth another try: the server is busy. */
  isBusy: (error: unknown) => boolean;
  wait: (ms: number) => Promise<void>;
  onProgress: (done: number, total: number) => void;
  isStopped: () => boolean;
}

export interface BulkRun {
  items: BulkItem[];
  /** Machines that no call was answered for: somebody stopped it, or a call failed. */
  unsent: number;
  /** Why a call failed, and with it the rest. */
  error?: unknown;
}

export interface BulkOrder {
  action: BulkAction;
  batches: readonly BulkBatch[];
  mode: "dry-run" | "carry-out";
  force: boolean;
}

export async function runBulk(order: BulkOrder, runner: BulkRunner): Promise<BulkRun> {
  const calls = order.batches.flatMap((batch) => callsOf(order, batch));
  const total = order.batches.reduce((sum, batch) => sum + batch.refs.length, 0);
  const items: BulkItem[] = [];
  runner.onProgress(0, total);
  for (const call of calls) {
    if (runner.isStopped()) {
      break;
    }
    try {
      items.push(...(await sendWhole(call, runner)));
    } catch (error) {
      return { items, unsent: total - items.length, error };
    }
    runner.onProgress(items.length, total);
  }
  return { items, unsent: total - items.length };
}

function callsOf({ action, mode, force }: BulkOrder, { details, refs }: BulkBatch): BulkCall[] {
  const calls: BulkCall[] = [];
  for (let at = 0; at < refs.length; at += CHUNK_MAX) {
    const chunk = refs.slice(at, at + CHUNK_MAX);
    const call: BulkCall = {
      kind: "machine",
      verb: action.verb,
      refs: chunk,
      details,
      dry_run: mode === "dry-run",
      concurrency: CONCURRENCY,
    };
    calls.push(force && action.verb === "delete" ? { ...call, force } : call);
  }
  return calls;
}

/** Sends a call, and again what was not tried. */
async function sendWhole(call: BulkCall, runner: BulkRunner): Promise<BulkItem[]> {
  const settled: BulkItem[] = [];
  let { refs } = call;
  for (let tries = 1; ; tries += 1) {
    const report = await sendPatiently({ ...call, refs }, runner);
    const left = report.items.filter((item) => item.outcome === "not_tried");
    settled.push(...report.items.filter((item) => item.outcome !== "not_tried"));
    const isLast = left.length === 0 || tries >= TRIES_MAX || runner.isStopped();
    if (isLast) {
      return [...settled, ...left];
    }
    refs = left.map((item) => item.ref);
  }
}

async function sendPatiently(call: BulkCall, runner: BulkRunner): Promise<BulkReport> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await runner.send(call);
    } catch (error) {
      if (tries >= TRIES_MAX || runner.isStopped() || !runner.isBusy(error)) {
        throw error;
      }
      await runner.wait(WAIT_MS * tries);
    }
  }
}
