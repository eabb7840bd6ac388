// The stream of changes: pages are current without a reload, one stream serves all tabs, and after a loss
// nothing is missing or there twice.

import type { Page } from "playwright-core";
import { request } from "node:https";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { claim, same, until } from "../check";
import type { Server } from "../server";
import type { Stage, Story } from "../stage";

const macOf = (index: number) => `52:54:00:f0:00:${index.toString(16).padStart(2, "0")}`;

async function add(server: Server, index: number): Promise<void> {
  await server.ask("POST", "/machines", { name: `live${index}`, macs: [macOf(index)] });
}

/** The names in the list, as they stand. */
async function names(page: Page): Promise<string[]> {
  const rows = await page.locator("main [role=row]").allInnerTexts();
  return rows.flatMap((text) => /\blive\d+\b/.exec(text) ?? []).sort();
}

async function shows(page: Page, expected: string[], what: string): Promise<void> {
  let last: string[] = [];
  await until(
    `${what}: ${expected.join(" ")}`,
    async () => {
      last = await names(page);
      return last.join(" ") === expected.join(" ");
    },
    20_000,
  ).catch((error: Error) => {
    throw new Error(`${error.message}; there are: ${last.join(" ")}`);
  });
}

async function lost(stage: Stage): Promise<void> {
  const server = await stage.ownServer();
  for (const index of [1, 2, 3]) await add(server, index);
  const visitor = await stage.visitor({}, server);
  visitor.expectFault(/net::ERR_|Failed to load resource|Failed to fetch/);
  const page = await visitor.signIn(server.token, "/console/machines");
  await shows(page, ["live1", "live2", "live3"], "before the loss");
  await add(server, 4);
  await shows(page, ["live1", "live2", "live3", "live4"], "live");
  await server.stop("SIGKILL");
  await page
    .getByText(/connection lost|lost|reconnecting|not connected/i)
    .first()
    .waitFor();
  await server.start();
  await add(server, 5);
  await server.ask("DELETE", "/machines/name:live1");
  await shows(page, ["live2", "live3", "live4", "live5"], "after the loss");
  await server.ask("DELETE", "/machines/name:live2");
  await shows(page, ["live3", "live4", "live5"], "and live again");
}

/** The value of a number of the server's metrics. */
function metric(server: Server, name: string): Promise<number> {
  const headers = { authorization: `Bearer ${server.token}` };
  const ca = readFileSync(join(server.data, "tls/ca.pem"));
  return new Promise((done, fail) => {
    request(`${server.address}/metrics`, { headers, ca }, (answer) => {
      let text = "";
      answer.on("data", (part: Buffer) => (text += part.toString()));
      answer.on("end", () => done(Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1] ?? NaN)));
    })
      .on("error", fail)
      .end();
  });
}

async function tabs(stage: Stage): Promise<void> {
  const server = await stage.ownServer();
  for (const index of [1, 2]) await add(server, index);
  const visitor = await stage.visitor({}, server);
  const first = await visitor.signIn(server.token, "/console/machines");
  await shows(first, ["live1", "live2"], "the first tab");
  const open = () => metric(server, "metalwright_api_event_streams");
  const alone = await until("a stream is open", async () => (await open()) || undefined);
  const second = await visitor.open("/machines");
  const third = await visitor.open("/machines");
  for (const page of [second, third]) await shows(page, ["live1", "live2"], "a further tab");
  same(await open(), alone, "streams with three tabs, as many as with one");
  await add(server, 3);
  for (const page of [first, second, third]) await shows(page, ["live1", "live2", "live3"], "each tab");
  await first.close();
  await add(server, 4);
  for (const page of [second, third])
    await shows(page, ["live1", "live2", "live3", "live4"], "without the first tab");
  claim((await open()) <= alone, "no stream was added");
}

export const CONNECTION: Story[] = [
  {
    name: "lost",
    proves: "a lost connection is shown and heals: nothing is missing, nothing is there twice",
    run: lost,
  },
  { name: "tabs", proves: "three tabs share one stream, and outlive the first", run: tabs },
];
