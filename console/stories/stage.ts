// What a story gets: the server with its scene, a browser, visitors who are signed in, and where evidence
// goes.

import type { Browser, BrowserContextOptions } from "playwright-core";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Visitor, type Look } from "./browser";
import { Server } from "./server";

export interface Story {
  /** The name of its file and of its evidence. */
  name: string;
  /** What it proves, as a sentence. */
  proves: string;
  run: (stage: Stage) => Promise<void>;
}

export type Login = Awaited<ReturnType<Visitor["context"]["storageState"]>>;

export class Stage {
  private readonly visitors: Visitor[] = [];
  private readonly servers: Server[] = [];

  constructor(
    readonly browser: Browser,
    readonly server: Server,
    private readonly login: BrowserContextOptions["storageState"],
    private readonly evidence: string,
  ) {}

  /** A visitor who is not signed in. */
  async visitor(look?: Look, server = this.server): Promise<Visitor> {
    const visitor = await Visitor.come(this.browser, server, look);
    this.visitors.push(visitor);
    return visitor;
  }

  /** A visitor with the administrator's session. */
  async operator(look?: Look): Promise<Visitor> {
    const visitor = await this.visitor(look);
    if (this.login && typeof this.login !== "string") await visitor.context.addCookies(this.login.cookies);
    return visitor;
  }

  /** A server of the story's own, which it may stop. */
  async ownServer(): Promise<Server> {
    const server = new Server(this.server.program, this.server.settings);
    this.servers.push(server);
    await server.start();
    return server;
  }

  /** Ends the story's visitors; whether they had nothing to complain of decides with the story. */
  async finish(story: Story): Promise<unknown> {
    let trouble: unknown;
    try {
      await story.run(this);
      this.visitors.forEach((visitor) => visitor.claimNoFaults());
    } catch (error) {
      trouble = error ?? new Error("failed");
    }
    const folder = join(this.evidence, story.name);
    rmSync(folder, { recursive: true, force: true });
    for (const [index, visitor] of this.visitors.entries()) {
      if (trouble) await visitor.keepEvidence(join(folder, `visitor-${index + 1}`));
      await visitor.context.close().catch(() => undefined);
    }
    for (const server of this.servers) await server.remove();
    return trouble;
  }
}
