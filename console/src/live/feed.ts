// The tab's end of the feed: the state of the connection, and who in this tab wants to know what. Whether it
// comes from the shared worker or from a hub of this tab makes no difference.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { generation, readEverythingAnew, signedOut } from "../api/client";
import { Hub, type HubMessage, type HubPort, type TabMessage } from "./hub";
import type { Change, ChangeBatch, Position, ServerEvent } from "./follow";
import type { SourceState } from "./source";

export type { Change, ChangeBatch, ServerEvent } from "./follow";

export interface Connection {
  state: SourceState;
  /** When that began, in milliseconds. */
  since: number;
}

export const connection = signal<Connection>({ state: "connecting", since: Date.now() });

export interface EventFilter {
  /** Kinds such as `run.failed` and `machine.*`; any when empty. */
  kinds?: readonly string[];
  /** Such as `machine:0198…`. */
  subject?: string;
}

type BatchListener = (batch: ChangeBatch) => void;
interface EventListener {
  filter: EventFilter;
  tell: (events: ServerEvent[], leftOut: number) => void;
}

const HERE_MS = 30_000;
const batchListeners = new Set<BatchListener>();
const resetListeners = new Set<() => void>();
const eventListeners = new Set<EventListener>();
let say: ((message: TabMessage) => void) | undefined;
let position: Position | undefined;

/** Up to where the feed of this tab is known to be whole. */
export function feedPosition(): Position | undefined {
  return position;
}

function openShared(): ((message: TabMessage) => void) | undefined {
  if (typeof SharedWorker === "undefined") return undefined;
  try {
    const worker = new SharedWorker(WORKER_URL);
    worker.port.onmessage = (event: MessageEvent<HubMessage>) => hear(event.data);
    worker.onerror = () => openOwn();
    return (message) => worker.port.postMessage(message);
  } catch {
    return undefined;
  }
}

function openOwn(): (message: TabMessage) => void {
  const hub = new Hub();
  const port: HubPort = { send: (message) => queueMicrotask(() => hear(message)) };
  hub.join(port);
  say = (message) => hub.hear(port, message);
  return say;
}

/** Connects this tab; done once, at the start of the page. */
export function startFeed(): void {
  say = openShared() ?? openOwn();
  setInterval(() => say?.({ type: "here" }), HERE_MS);
  window.addEventListener("pagehide", () => say?.({ type: "bye" }));
  window.addEventListener("pageshow", (event) => event.persisted && say?.({ type: "here" }));
  window.addEventListener("online", () => say?.({ type: "retry" }));
  const first = generation.peek();
  generation.subscribe((turn) => {
    if (turn !== first) say?.({ type: "retry" });
  });
}

function hear(message: HubMessage): void {
  switch (message.type) {
    case "state":
      connection.value = { state: message.state, since: message.since };
      if (message.state === "signed-out") signedOut.value = true;
      return;
    case "position":
      position = message.position;
      return spread({ from: position.commit, to: position.commit, epoch: position.epoch, changes: [] });
    case "changes":
      position = { commit: message.batch.to, epoch: message.batch.epoch };
      return spread(message.batch);
    case "reset":
      position = message.position;
      return reset();
    case "events":
      return spreadEvents(message.events, message.leftOut);
  }
}

function spread(batch: ChangeBatch): void {
  for (const listener of batchListeners) listener(batch);
}

function reset(): void {
  for (const listener of resetListeners) listener();
  readEverythingAnew();
}

function spreadEvents(events: ServerEvent[], leftOut: number): void {
  for (const { filter, tell } of eventListeners) {
    const wanted = events.filter((event) => passes(filter, event));
    if (wanted.length > 0 || leftOut > 0) tell(wanted, leftOut);
  }
}

/** Whether an event passes a filter. */
export function passes(filter: EventFilter, event: ServerEvent): boolean {
  if (filter.subject !== undefined && event.subject !== filter.subject) return false;
  if (!filter.kinds || filter.kinds.length === 0) return true;
  return filter.kinds.some((kind) =>
    kind.endsWith("*") ? event.kind.startsWith(kind.slice(0, -1)) : event.kind === kind,
  );
}

/** Whole batches, as the collections need them. Returns what ends it. */
export function onBatches(listener: BatchListener): () => void {
  batchListeners.add(listener);
  return () => void batchListeners.delete(listener);
}

/**
 * Changes of objects of some kinds (`machine`, `lease`), at most four times a second. Returns what ends it.
 */
export function onChanges(kinds: readonly string[], tell: (changes: Change[]) => void): () => void {
  return onBatches((batch) => {
    const wanted = batch.changes.filter((change) => kinds.includes(change.kind));
    if (wanted.length > 0) tell(wanted);
  });
}

/** Events as they happen, at most four times a second. Returns what ends it. */
export function onEvents(
  filter: EventFilter,
  tell: (events: ServerEvent[], leftOut: number) => void,
): () => void {
  const listener = { filter, tell };
  eventListeners.add(listener);
  say?.({ type: "events", wanted: true });
  return () => {
    eventListeners.delete(listener);
    if (eventListeners.size === 0) say?.({ type: "events", wanted: false });
  };
}

/** The server's state went back (a restored backup): what was read counts no more. */
export function onReset(tell: () => void): () => void {
  resetListeners.add(tell);
  return () => void resetListeners.delete(tell);
}

/** `onChanges` for the life of a component. */
export function useChanges(kinds: readonly string[], tell: (changes: Change[]) => void): void {
  const latest = useRef(tell);
  latest.current = tell;
  useEffect(() => onChanges(kinds, (changes) => latest.current(changes)), [kinds.join(",")]);
}

/** `onEvents` for the life of a component; `undefined` listens to nothing. */
export function useEvents(
  filter: EventFilter | undefined,
  tell: (events: ServerEvent[], leftOut: number) => void,
): void {
  const latest = useRef(tell);
  latest.current = tell;
  const key = filter && `${filter.subject ?? ""} ${(filter.kinds ?? []).join(",")}`;
  useEffect(
    () => (filter ? onEvents(filter, (events, leftOut) => latest.current(events, leftOut)) : undefined),
    [key],
  );
}
