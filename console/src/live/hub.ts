// What the shared worker runs, and a tab where there are no shared workers: the two streams, and who listens.
// Messages are gathered for a quarter of a second, so that a busy server costs a tab four messages a second.

import {
  ChangeFollower,
  EventFollower,
  joinBatches,
  type ChangeBatch,
  type Position,
  type ServerEvent,
} from "./follow";
import { StreamSource, type SourceState } from "./source";

const ROOT = "/api/v1";
const GATHER_MS = 250;
/** Most events that are handed on at once; what is more is counted as left out. */
const EVENTS_MAX = 2_000;
/** A tab that did not say that it is there for so long is gone. */
const ABSENT_MS = 90_000;

/** From a tab to the hub. */
export type TabMessage =
  { type: "here" } | { type: "events"; wanted: boolean } | { type: "retry" } | { type: "bye" };

/** From the hub to a tab. */
export type HubMessage =
  | { type: "state"; state: SourceState; since: number }
  | { type: "position"; position: Position }
  | { type: "changes"; batch: ChangeBatch }
  | { type: "reset"; position: Position }
  | { type: "events"; events: ServerEvent[]; leftOut: number };

export interface HubPort {
  send: (message: HubMessage) => void;
}

interface Tab {
  port: HubPort;
  wantsEvents: boolean;
  seen: number;
}

export class Hub {
  private readonly tabs = new Map<HubPort, Tab>();
  private readonly changes = new ChangeFollower();
  private readonly events = new EventFollower();
  private state: { state: SourceState; since: number } = { state: "connecting", since: Date.now() };
  private batch: ChangeBatch | undefined;
  private gathered: ServerEvent[] = [];
  private leftOut = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly changeSource: StreamSource;
  private readonly eventSource: StreamSource;

  constructor() {
    this.changeSource = new StreamSource({
      url: `${ROOT}/changes/stream`,
      resumeId: () => this.changes.resumeId,
      opening: () => this.changes.connecting(),
      message: (message) => this.takeChange(message),
      readAgain: () => this.changes.forget(),
      state: (state) => this.become(state),
    });
    this.eventSource = new StreamSource({
      url: `${ROOT}/events/stream`,
      resumeId: () => this.events.resumeId,
      opening: () => undefined,
      message: (message) => this.takeEvent(message),
      readAgain: () => this.events.forget(),
      state: () => undefined,
    });
  }

  join(port: HubPort): void {
    this.tabs.set(port, { port, wantsEvents: false, seen: Date.now() });
    this.changeSource.start();
    port.send({ type: "state", ...this.state });
    if (this.changes.at) port.send({ type: "position", position: this.changes.at });
  }

  hear(port: HubPort, message: TabMessage): void {
    const tab = this.tabs.get(port);
    if (!tab) {
      if (message.type !== "bye") this.join(port);
      return;
    }
    tab.seen = Date.now();
    if (message.type === "events") tab.wantsEvents = message.wanted;
    if (message.type === "bye") this.tabs.delete(port);
    if (message.type === "retry") this.retry();
    this.settle();
  }

  private retry(): void {
    this.changeSource.retry();
    this.eventSource.retry();
  }

  /** Forgets tabs that are gone, and streams that nobody listens to. */
  private settle(): void {
    const oldest = Date.now() - ABSENT_MS;
    for (const [port, tab] of this.tabs) {
      if (tab.seen < oldest) this.tabs.delete(port);
    }
    if ([...this.tabs.values()].some((tab) => tab.wantsEvents)) this.eventSource.start();
    else {
      this.eventSource.stop();
      this.events.forget();
    }
    if (this.tabs.size === 0) this.changeSource.stop();
    else this.changeSource.start();
  }

  private become(state: SourceState): void {
    if (state === this.state.state) return;
    const wasAway = this.state.state === "lost" && state === "connecting";
    this.state = { state, since: wasAway ? this.state.since : Date.now() };
    this.tell({ type: "state", ...this.state });
  }

  private takeChange(message: Parameters<ChangeFollower["take"]>[0]): void {
    const isFirst = this.changes.at === undefined;
    const output = this.changes.take(message);
    if (output?.type === "reset") {
      this.batch = undefined;
      this.tell({ type: "reset", position: output.position });
    } else if (output) {
      const joined = this.batch && joinBatches(this.batch, output.batch);
      if (this.batch && !joined) this.flush();
      this.batch = joined ?? output.batch;
      this.flushSoon();
    } else if (isFirst && this.changes.at) {
      this.tell({ type: "position", position: this.changes.at });
    }
  }

  private takeEvent(message: Parameters<EventFollower["take"]>[0]): void {
    const event = this.events.take(message);
    if (!event) return;
    this.gathered.push(event);
    if (this.gathered.length > EVENTS_MAX) {
      this.gathered.shift();
      this.leftOut += 1;
    }
    this.flushSoon();
  }

  private flushSoon(): void {
    this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { batch, gathered: events, leftOut } = this;
    this.batch = undefined;
    this.gathered = [];
    this.leftOut = 0;
    if (batch) this.tell({ type: "changes", batch });
    if (events.length === 0) return;
    for (const tab of this.tabs.values()) {
      if (tab.wantsEvents) tab.port.send({ type: "events", events, leftOut });
    }
  }

  private tell(message: HubMessage): void {
    for (const tab of this.tabs.values()) tab.port.send(message);
  }
}
