// Debian's Chromium, and pages in it that notice what a visitor would not: errors in the console, scripts
// that fail, what the Content Security Policy refused.

import { chromium, type Browser, type BrowserContext, type Page, type Request } from "playwright-core";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Untrue, until } from "./check";
import type { Server } from "./server";

const WAIT_MS_MAX = 30_000;

export async function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // The server's certificate is its own. Playwright's switch does not reach workers.
    args: ["--no-sandbox", "--ignore-certificate-errors", "--disable-dev-shm-usage", "--disable-gpu"],
  });
}

export interface Look {
  width?: number;
  height?: number;
  dark?: boolean;
}

/** A visitor: one cookie jar and the pages that share it. */
export class Visitor {
  private readonly faults: string[] = [];
  private readonly allowed: RegExp[] = [];

  private constructor(
    readonly context: BrowserContext,
    readonly server: Server,
  ) {
    context.setDefaultTimeout(WAIT_MS_MAX);
    context.on("page", (page) => this.watch(page));
  }

  static async come(browser: Browser, server: Server, look: Look = {}): Promise<Visitor> {
    const context = await browser.newContext({
      ignoreHTTPSErrors: true,
      baseURL: server.address,
      viewport: { width: look.width ?? 1440, height: look.height ?? 900 },
      colorScheme: look.dark ? "dark" : "light",
      reducedMotion: "reduce",
      timezoneId: "Europe/Berlin",
      permissions: ["clipboard-read", "clipboard-write"],
    });
    await context.tracing.start({ snapshots: true, screenshots: false });
    return new Visitor(context, server);
  }

  private watch(page: Page): void {
    countRequests(page);
    page.on("console", (message) => {
      if (message.type() === "error")
        this.faults.push(`console: ${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => this.faults.push(`script: ${error.stack ?? error.message}`));
  }

  /** What looks like a fault and belongs to this story, such as the 401 of an expired login. */
  expectFault(pattern: RegExp): void {
    this.allowed.push(pattern);
  }

  /** Fails with what the pages complained of. */
  claimNoFaults(): void {
    const left = this.faults.filter((fault) => !this.allowed.some((pattern) => pattern.test(fault)));
    if (left.length > 0) throw new Untrue(`the page complained:\n    ${left.join("\n    ")}`);
  }

  /** Signs in through the page, as a person does. */
  async signIn(token = this.server.token, path = "/console/"): Promise<Page> {
    this.expectFault(/status of 401/);
    const page = await this.context.newPage();
    await page.goto(path);
    await giveToken(page, token);
    return page;
  }

  async open(path: string): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(`/console${path}`);
    await settled(page);
    return page;
  }

  /** Leaves a picture of each page and a trace. */
  async keepEvidence(folder: string): Promise<void> {
    mkdirSync(folder, { recursive: true });
    for (const [index, page] of this.context.pages().entries()) {
      await page.screenshot({ path: join(folder, `page-${index + 1}.png`) }).catch(() => undefined);
    }
    await this.context.tracing.stop({ path: join(folder, "trace.zip") }).catch(() => undefined);
  }
}

/** Fills in the login and waits until it is gone. */
export async function giveToken(page: Page, token: string): Promise<void> {
  const field = page.getByLabel("Token", { exact: true });
  await field.fill(token);
  await field.press("Enter");
  await field.waitFor({ state: "hidden" });
  await settled(page);
}

/** Requests of the API that a page waits for, without streams. */
const waiting = new WeakMap<Page, Set<Request>>();

function countRequests(page: Page): void {
  const open = new Set<Request>();
  waiting.set(page, open);
  page.on("request", (request) => {
    const path = new URL(request.url()).pathname;
    if (path.startsWith("/api/") && !path.endsWith("/stream")) open.add(request);
  });
  page.on("requestfinished", (request) => open.delete(request));
  page.on("requestfailed", (request) => open.delete(request));
}

/** Lets the page draw what it has. */
export async function drawn(page: Page): Promise<void> {
  await page.evaluate(
    () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  );
}

/** Waits until the screen is there, waits for no answer, and says that nothing is being loaded. */
export async function settled(page: Page): Promise<void> {
  await page.locator("main h1").first().waitFor();
  let calm = 0;
  await until(
    "the page is at rest",
    async () => {
      await drawn(page);
      const isBusy = (await page.locator("main [aria-busy=true]").count()) > 0;
      calm = isBusy || (waiting.get(page)?.size ?? 0) > 0 ? 0 : calm + 1;
      return calm > 1;
    },
    WAIT_MS_MAX,
  );
}

/**
 * Goes to an address below /console inside the page that is open, as a link does: nothing is loaded again.
 */
export async function visit(page: Page, url: string): Promise<void> {
  await page.evaluate((to) => {
    history.pushState(null, "", to);
    dispatchEvent(new PopStateEvent("popstate", { state: null }));
  }, url);
  await settled(page);
}

export const heading = (page: Page) => page.locator("main h1").first().innerText();
