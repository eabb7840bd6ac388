// The real server on a temporary data directory, with ports that the system picks, and its command line.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Untrue } from "./check";

const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 20_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

interface Ready {
  api: string;
  dhcp_port: number;
}

export interface Answer {
  status: number;
  body: unknown;
}

/** What a command printed, and its exit code. */
export interface Told {
  code: number;
  out: string;
}

export class Server {
  readonly folder = mkdtempSync(join(tmpdir(), "metalwright-stories."));
  readonly data = join(this.folder, "data");
  private child: ChildProcess | undefined;
  private ready: Ready | undefined;
  private readonly others = new Set<ChildProcess>();

  constructor(
    readonly program: string,
    readonly settings: string[] = [],
  ) {}

  get address(): string {
    if (!this.ready) throw new Error("the server has not been started");
    return this.ready.api;
  }

  get dhcp(): string {
    return `127.0.0.1:${this.ready?.dhcp_port ?? 0}`;
  }

  get token(): string {
    return readFileSync(join(this.data, "admin.token"), "utf8").trim();
  }

  /** Starts the server; a second time on the port of the API that it had. */
  async start(): Promise<void> {
    const api = this.ready ? new URL(this.ready.api).host : "127.0.0.1:0";
    const args = [
      "serve",
      "--data",
      this.data,
      "--api-listen",
      api,
      "--boot-http",
      "127.0.0.1:0",
      "--tftp-listen",
      "127.0.0.1:0",
      "--dhcp-interface",
      "lo",
      "--dhcp-port",
      "0",
      "--artifacts-root",
      this.folder,
      ...this.settings,
    ];
    const child = spawn(this.program, args, { stdio: ["ignore", "pipe", "pipe"] });
    child.stderr.pipe(createWriteStream(join(this.folder, "server.log"), { flags: "a" }));
    this.child = child;
    this.ready = await readyLine(child);
  }

  /** Ends the server, and is back when it has ended. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.child;
    this.child = undefined;
    await end(child, signal);
  }

  /** Ends the server and everything that was started beside it, and removes its folder. */
  async remove(): Promise<void> {
    for (const other of this.others) await end(other, "SIGTERM");
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  log(): string {
    return readFileSync(join(this.folder, "server.log"), "utf8");
  }

  /** A request of the API, as the administrator. */
  api(method: string, path: string, body?: unknown, token = this.token): Promise<Answer> {
    const ca = readFileSync(join(this.data, "tls/ca.pem"));
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    const isPatch = method === "PATCH";
    if (body !== undefined)
      headers["content-type"] = isPatch ? "application/merge-patch+json" : "application/json";
    return new Promise((done, fail) => {
      const ask = request(`${this.address}/api/v1${path}`, { method, headers, ca }, (answer) => {
        const parts: Buffer[] = [];
        let bytes = 0;
        answer.on("data", (part: Buffer) => {
          bytes += part.length;
          if (bytes > ANSWER_BYTES_MAX) ask.destroy(new Error("the answer is too large"));
          parts.push(part);
        });
        answer.on("end", () => done({ status: answer.statusCode ?? 0, body: parse(Buffer.concat(parts)) }));
        answer.on("error", fail);
      });
      ask.on("error", fail);
      ask.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** A request that must succeed. */
  async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.api(method, path, body);
    if (answer.status >= 300)
      throw new Untrue(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as T;
  }

  /** Runs a command of the client against this server. */
  async run(...args: string[]): Promise<Told> {
    const child = this.begin(...args);
    let out = "";
    child.stdout?.on("data", (part: Buffer) => (out += part.toString()));
    child.stderr?.on("data", (part: Buffer) => (out += part.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    return { code: code ?? -1, out };
  }

  /** Starts a command of the client that goes on; it ends with the server at the latest. */
  begin(...args: string[]): ChildProcess {
    const child = spawn(this.program, [...args, "--data", this.data], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.others.add(child);
    child.on("close", () => this.others.delete(child));
    return child;
  }
}

function parse(bytes: Buffer): unknown {
  const text = bytes.toString();
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}

async function readyLine(child: ChildProcess): Promise<Ready> {
  if (!child.stdout) throw new Error("the server has no output");
  const lines = createInterface({ input: child.stdout });
  const first = new Promise<Ready>((done, fail) => {
    lines.once("line", (line) => done(JSON.parse(line) as Ready));
    child.once("exit", (code) => fail(new Error(`the server ended with ${code} before it was ready`)));
    setTimeout(() => fail(new Error("the server is not ready in time")), READY_MS_MAX).unref();
  });
  return first;
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  await ended;
  clearTimeout(late);
}
