// Server-Sent Events out of pieces of text (HTML Standard, section 9.2.6); pure. We read streams with
// `fetch`, because `EventSource` does not tell a refused login from a server that is down.

export interface SseMessage {
  event: string;
  data: string;
  id: string | undefined;
}

/** Longest message; one that is longer is a fault of the stream. */
const MESSAGE_MAX = 8 * 1024 * 1024;

export class SseParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private id: string | undefined;
  private size = 0;

  /** The messages that are whole with this piece. */
  push(piece: string): SseMessage[] {
    const text = this.rest + piece;
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    const messages: SseMessage[] = [];
    for (const line of lines) {
      this.size += line.length;
      if (this.size + this.rest.length > MESSAGE_MAX)
        throw new Error("a message of the stream is too long");
      if (line === "") this.finish(messages);
      else this.field(line);
    }
    return messages;
  }

  private finish(messages: SseMessage[]): void {
    if (this.data.length > 0) {
      messages.push({ event: this.event || "message", data: this.data.join("\n"), id: this.id });
    }
    this.event = "";
    this.data = [];
    this.id = undefined;
    this.size = 0;
  }

  private field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.event = value;
    else if (name === "data") this.data.push(value);
    else if (name === "id") this.id = value;
  }
}
