// How the console bears 10,000 machines and 1,000 events a second: first paint, frames while scrolling,
// memory.

import type { Browser, CDPSession, Page } from "playwright-core";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { settled, Visitor } from "./browser";
import { pause } from "./check";
import { addSite } from "./scene";
import type { Server } from "./server";

const MACHINES = Number(process.env.MACHINES ?? 10_000);
const EVENTS_A_SECOND = Number(process.env.EVENTS ?? 1_000);
const MINUTES = Number(process.env.MINUTES ?? 5);
const WRITERS = 16;
const SCROLL_MS = 10_000;

export async function measure(browser: Browser, server: Server): Promise<void> {
  sizes();
  await addSite(server);
  const ids = await fill(server);
  const visitor = await Visitor.come(browser, server, { width: 1600, height: 1000 });
  await visitor.context.tracing.stop();
  const page = await visitor.signIn();
  await firstPaint(page, "/console/machines", "quiet");
  const stop = keepBusy(server, ids);
  await pause(2_000);
  await firstPaint(page, "/console/machines", "busy");
  await firstPaint(page, "/console/", "busy");
  await page.goto("/console/machines");
  await settled(page);
  await frames(page);
  await overTime(page, server);
  stop();
  await visitor.context.close();
}

function row(what: string, value: string): void {
  console.log(`${what.padEnd(64)} ${value}`);
}

/** The files of the console, packed. */
function sizes(): void {
  const folder = "dist";
  for (const name of readdirSync(folder).filter((name) => /\.(js|css)$/.test(name))) {
    const bytes = readFileSync(join(folder, name));
    row(
      `size of ${name}`,
      `${(bytes.length / 1e3).toFixed(1)} kB, packed ${(gzipSync(bytes).length / 1e3).toFixed(1)} kB`,
    );
  }
}

async function fill(server: Server): Promise<string[]> {
  const begun = Date.now();
  const ids: string[] = [];
  let next = 0;
  const writer = async () => {
    for (let index = next++; index < MACHINES; index = next++) {
      const octets = [index >> 16, (index >> 8) & 255, index & 255].map((part) =>
        part.toString(16).padStart(2, "0"),
      );
      const machine = {
        name: `node${index}`,
        macs: [`52:54:00:${octets.join(":")}`],
        labels: { rack: `r${index % 40}` },
      };
      ids.push((await server.ask<{ id: string }>("POST", "/machines", machine)).id);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  row(`${MACHINES} machines created`, `${((Date.now() - begun) / 1e3).toFixed(1)} s`);
  return ids;
}

/** Changes machines so often that the server writes so many events a second. */
function keepBusy(server: Server, ids: string[]): () => void {
  let on = true;
  let done = 0;
  const begun = Date.now();
  const writer = async () => {
    while (on) {
      if (done > (EVENTS_A_SECOND * (Date.now() - begun)) / 1e3) {
        await pause(5);
        continue;
      }
      const id = ids[Math.floor(Math.random() * ids.length)];
      done += 1;
      await server
        .ask("PATCH", `/machines/${id}`, { labels: { turn: String(done) } })
        .catch(() => pause(100));
    }
  };
  for (let index = 0; index < WRITERS; index += 1) void writer();
  return () => {
    on = false;
    row("changes written a second", (done / ((Date.now() - begun) / 1e3)).toFixed(0));
  };
}

/** From the click on the address to the first paint with content, and to the first rows. */
async function firstPaint(page: Page, path: string, what: string): Promise<void> {
  const begun = Date.now();
  await page.goto(path);
  await page.locator("main [role=row], main table tr, main a").first().waitFor();
  const rows = Date.now() - begun;
  const paint = await page.evaluate(
    () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
  );
  row(`${path}, ${what}: first paint; first content`, `${paint.toFixed(0)} ms; ${rows} ms`);
}

/** Frames a second, and the longest time between two, while the list scrolls. */
async function frames(page: Page): Promise<void> {
  const times = await page.evaluate(async (milliseconds) => {
    const list = [...document.querySelectorAll<HTMLElement>("main, main *")]
      .filter((element) => element.scrollHeight > element.clientHeight + 1000)
      .sort((a, b) => b.scrollHeight - a.scrollHeight)[0];
    const found: number[] = [];
    const begun = performance.now();
    let last = begun;
    await new Promise<void>((done) => {
      const frame = (now: number) => {
        found.push(now - last);
        last = now;
        if (list) list.scrollTop += 60;
        if (now - begun > milliseconds) done();
        else requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    });
    return found;
  }, SCROLL_MS);
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(0);
  row("frames a second while scrolling", ((times.length / SCROLL_MS) * 1e3).toFixed(1));
  row("between frames: median, 95 %, longest", `${at(0.5)}, ${at(0.95)}, ${at(1)} ms`);
}

async function overTime(page: Page, server: Server): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  let before = await newest(server);
  let busy = await numbers(session);
  for (let minute = 0; minute <= MINUTES; minute += 1) {
    if (minute > 0) await pause(60_000);
    await session.send("HeapProfiler.collectGarbage");
    const now = await numbers(session);
    const events = await newest(server);
    row(
      `minute ${minute}: heap, nodes, share of the main thread, events a second`,
      [
        `${(now.heap / 1e6).toFixed(1)} MB`,
        String(now.nodes),
        `${(((now.task - busy.task) / 60) * 100).toFixed(1)} %`,
        ((events - before) / 60).toFixed(0),
      ].join(", "),
    );
    [before, busy] = [events, now];
  }
}

async function numbers(session: CDPSession): Promise<{ heap: number; nodes: number; task: number }> {
  const { metrics } = await session.send("Performance.getMetrics");
  const of = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? 0;
  return { heap: of("JSHeapUsedSize"), nodes: of("Nodes"), task: of("TaskDuration") };
}

async function newest(server: Server): Promise<number> {
  const events = await server.ask<{ items: { seq: number }[] }>("GET", "/events?limit=1&order=desc");
  return events.items[0]?.seq ?? 0;
}
