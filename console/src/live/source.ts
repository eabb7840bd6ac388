// One connection to a stream of the API that heals itself. What is read and where to go on is the follower's.

import { retryDelay } from "./follow";
import { SseParser, type SseMessage } from "./sse";

/** The server sends a comment every 15 s; silence for so long is a lost connection. */
const SILENCE_MAX = 40_000;

export type SourceState = "connecting" | "live" | "lost" | "signed-out" | "refused";

export interface SourceHandlers {
  url: string;
  resumeId: () => string | undefined;
  /** A connection begins. */
  opening: () => void;
  message: (message: SseMessage) => void;
  /** 410: go on from now, everything is read again. */
  readAgain: () => void;
  state: (state: SourceState) => void;
}

export class StreamSource {
  private cancel: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private isOpen = false;

  constructor(private readonly handlers: SourceHandlers) {}

  start(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    this.handlers.state("connecting");
    void this.connect();
  }

  stop(): void {
    this.isOpen = false;
    this.drop();
  }

  /** Tries now: after a login, or because the network is back. */
  retry(): void {
    if (!this.isOpen) return;
    this.drop();
    this.tries = 0;
    void this.connect();
  }

  private drop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.cancel?.abort();
    this.cancel = undefined;
  }

  private async connect(): Promise<void> {
    const cancel = new AbortController();
    this.cancel = cancel;
    this.handlers.opening();
    const resume = this.handlers.resumeId();
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (resume !== undefined) headers["Last-Event-ID"] = resume;
    try {
      this.watchSilence();
      const response = await fetch(this.handlers.url, {
        headers,
        cache: "no-store",
        credentials: "same-origin",
        signal: cancel.signal,
      });
      if (cancel !== this.cancel) return;
      if (!response.ok || !response.body) return this.refused(response.status);
      this.tries = 0;
      this.handlers.state("live");
      await this.read(response.body, cancel);
    } catch {
      // The connection broke: told below.
    }
    if (cancel === this.cancel && this.isOpen) this.again();
  }

  private async read(body: ReadableStream<Uint8Array>, cancel: AbortController): Promise<void> {
    const parser = new SseParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || cancel !== this.cancel) return;
      this.watchSilence();
      for (const message of parser.push(decoder.decode(value, { stream: true })))
        this.handlers.message(message);
    }
  }

  private watchSilence(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.cancel?.abort(), SILENCE_MAX);
  }

  private refused(status: number): void {
    clearTimeout(this.silence);
    this.cancel = undefined;
    if (status === 401) return this.handlers.state("signed-out");
    if (status === 403) return this.handlers.state("refused");
    if (status === 410) this.handlers.readAgain();
    if (status === 400) this.handlers.readAgain();
    this.again();
  }

  private again(): void {
    clearTimeout(this.silence);
    this.cancel = undefined;
    this.handlers.state("lost");
    const delay = retryDelay(this.tries, Math.random());
    this.tries += 1;
    this.timer = setTimeout(() => void this.connect(), delay);
  }
}
