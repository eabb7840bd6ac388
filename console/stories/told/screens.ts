// A story for each screen: what it must show of the scene, and one thing that operators do there.

import type { Page } from "playwright-core";
import { settled, visit } from "../browser";
import { claim, includes, same, until } from "../check";
import { ASKING, INSTALLED, NEWCOMER, UNKNOWN, WAITING, WORKFLOW } from "../scene";
import { placesOf } from "../places";
import type { Stage, Story } from "../stage";

async function openPlace(stage: Stage, name: string): Promise<Page> {
  const place = (await placesOf(stage.server)).find((one) => one.name === name);
  if (!place) throw new Error(`no place ${name}`);
  const visitor = await stage.operator();
  return visitor.open(place.path);
}

const seen = (page: Page, text: string | RegExp) => page.locator("main").getByText(text).first().waitFor();

/** Faults that the page shows: what could not be read, with its reason. */
async function claimNoProblem(page: Page, where: string): Promise<void> {
  const problems = await page.locator("main .problem").allInnerTexts();
  claim(problems.length === 0, `${where} has no fault: ${problems.join(" ")}`);
}

/** Opens each tab; each stands in the address, and Back leads to the one before. */
async function walkTabs(page: Page): Promise<void> {
  const tabs = page.getByRole("tablist").first().getByRole("tab");
  const names = await tabs.allInnerTexts();
  for (const [index, name] of names.entries()) {
    await tabs.nth(index).click();
    await settled(page);
    same(await tabs.nth(index).getAttribute("aria-selected"), "true", `the tab ${name} is open`);
    await claimNoProblem(page, `the tab ${name}`);
  }
  if (names.length < 2) return;
  await page.goBack();
  await until("Back leads to the tab before", async () => {
    return (await tabs.nth(names.length - 2).getAttribute("aria-selected")) === "true";
  });
}

async function overview(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "overview");
  for (const name of [ASKING.name, UNKNOWN]) await seen(page, name);
  await claimNoProblem(page, "the overview");
  await page.locator("main a[href*='/console/machines?'][href*='complete']").first().click();
  await page.waitForURL(/\/machines\?.*complete/);
  await settled(page);
  for (const name of INSTALLED) await seen(page, name);
  same(
    await page.locator("main").getByText(WAITING.name, { exact: true }).count(),
    0,
    "machines of another state",
  );
}

async function machines(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "machines");
  for (const name of [...INSTALLED, ASKING.name, WAITING.name]) await seen(page, name);
  await claimNoProblem(page, "the list");
  await page.goto("/console/machines?status.state=complete");
  await settled(page);
  await seen(page, INSTALLED[0] ?? "");
  await page.getByRole("grid").first().focus();
  await page.keyboard.press("Control+a");
  const bar = page.getByRole("region", { name: "Chosen machines" });
  includes(await bar.innerText(), String(INSTALLED.length), "how many are chosen");
}

async function machine(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "machine");
  await seen(page, ASKING.question);
  claim((await page.locator("main svg").count()) > 0, "the timeline is drawn");
  await walkTabs(page);
}

async function run(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "run");
  await seen(page, WORKFLOW);
  await walkTabs(page);
}

async function explain(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "explain");
  await claimNoProblem(page, "explain");
  const rules = page.locator("main li, main tr");
  await until("the rules are listed", async () => (await rules.count()) > 3);
  await page.goto(`/console/explain?who=${encodeURIComponent(WAITING.mac)}`);
  await settled(page);
  await seen(page, WAITING.name);
  await claimNoProblem(page, "explain of a MAC");
}

async function networks(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "networks");
  await seen(page, "127.1.0.0/24");
  await walkTabs(page);
}

async function register(stage: Stage): Promise<void> {
  const visitor = await stage.operator();
  const page = await visitor.open("/networks?tab=clients");
  await page
    .getByRole("row")
    .filter({ hasText: NEWCOMER })
    .getByRole("button", { name: /Register/ })
    .first()
    .click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(`Name of ${NEWCOMER}`, { exact: false }).fill("found1");
  await dialog.getByRole("button", { name: "Register" }).click();
  await dialog.waitFor({ state: "hidden" });
  const made = await stage.server.ask<{ macs: string[] }>("GET", "/machines/name:found1");
  same(made.macs[0], NEWCOMER, "the MAC of the machine that was made");
  await until("the client is unknown no longer", async () => {
    return (await page.locator("main tr").filter({ hasText: NEWCOMER }).count()) === 0;
  });
}

async function content(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "content");
  await claimNoProblem(page, "packs");
  await page.goto("/console/content/workflows");
  await settled(page);
  await seen(page, WORKFLOW);
  const { items } = await stage.server.ask<{ items: { name: string }[] }>(
    "GET",
    "/templates?limit=1000&fields=name",
  );
  const template = items.find((one) => one.name.includes("preseed")) ?? items[0];
  await page.goto(`/console/content/templates/${template?.name}`);
  await settled(page);
  await page.locator(".cm-editor .cm-line").first().waitFor();
  await claimNoProblem(page, "the editor");
}

async function artifacts(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "artifacts");
  await seen(page, "debian-12-amd64");
  await page.locator("main").getByRole("link", { name: "debian-12-amd64" }).first().click();
  await page.waitForURL(/\/artifacts\/.+/);
  await settled(page);
  await seen(page, WORKFLOW);
  await claimNoProblem(page, "an artifact");
}

async function activity(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "activity");
  await seen(page, "run.completed");
  await stage.server.ask("POST", "/profiles", { name: "written-while-watched" });
  await seen(page, /written-while-watched/);
  await walkTabs(page);
}

async function settings(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "settings");
  await walkTabs(page);
  await page.goto("/console/settings?tab=tokens");
  await settled(page);
  await page.getByRole("button", { name: "Create a token" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("made-here");
  await dialog.getByRole("button", { name: "Read everything" }).click();
  await dialog.getByRole("button", { name: "Create the token" }).click();
  const token = await until("the token is shown", async () => {
    return /mw_[\w-]+/.exec(await dialog.evaluate((element) => element.outerHTML))?.[0];
  });
  same(
    (await stage.server.api("GET", "/machines?limit=1", undefined, token)).status,
    200,
    "what the token may read",
  );
  const refused = await stage.server.api("POST", "/machines", { name: "not-made" }, token);
  same(refused.status, 403, "what the token may not write");
}

async function objects(stage: Stage): Promise<void> {
  const page = await openPlace(stage, "objects");
  await claimNoProblem(page, "all objects");
  await page.goto("/console/objects/machines");
  await settled(page);
  await seen(page, ASKING.name);
}

/** Titles of pages that lead nowhere. */
const NOWHERE = /There is no such page/;
const LINKS_MAX = 60;

/** One address of each shape: objects of one kind have the same page. */
function shapes(links: string[]): string[] {
  const byShape = new Map<string, string>();
  for (const link of links) {
    const url = new URL(link);
    const parts = url.pathname.split("/").map((part, index) => (index > 2 ? "*" : part));
    const shape = `${parts.join("/")}?${[...url.searchParams.keys()].sort().join("&")}`;
    if (!byShape.has(shape)) byShape.set(shape, url.pathname + url.search);
  }
  return [...byShape.values()].slice(0, LINKS_MAX);
}

async function links(stage: Stage): Promise<void> {
  const visitor = await stage.operator();
  const page = await visitor.context.newPage();
  const found: string[] = [];
  const titles = new Map<string, string>();
  for (const place of await placesOf(stage.server)) {
    await page.goto(`/console${place.path}`);
    await settled(page);
    includes(page.url(), place.path, "the address that was opened");
    same(await page.locator("h1").count(), 1, `headings of ${place.name}`);
    titles.set(new URL(page.url()).pathname, await page.title());
    found.push(
      ...(await page.locator("a[href^='/console']").evaluateAll((all) => {
        return all.map((one) => (one as HTMLAnchorElement).href);
      })),
    );
  }
  same(new Set(titles.values()).size, titles.size, "different titles of the window");
  const wrong: string[] = [];
  for (const link of shapes(found)) {
    await visit(page, link).catch(() => wrong.push(`${link}: nothing is shown`));
    const text = await page.locator("main").innerText();
    const problems = await page.locator("main .problem").allInnerTexts();
    if (NOWHERE.test(text)) wrong.push(`${link}: there is no such page`);
    if (problems.length > 0) wrong.push(`${link}: ${problems.join(" ")}`);
  }
  claim(wrong.length === 0, `links that lead to a fault:\n    ${wrong.join("\n    ")}`);
}

export const SCREENS: Story[] = [
  {
    name: "links",
    proves: "every screen opens by its address, with a title of its own, and no link leads to a fault",
    run: links,
  },
  {
    name: "overview",
    proves: "the overview says what needs somebody, and a count leads to its machines",
    run: overview,
  },
  {
    name: "machines",
    proves: "the list has all machines, a filter by its address, and counts what is chosen",
    run: machines,
  },
  { name: "machine", proves: "a machine has its reason, its timeline, and every tab", run: machine },
  { name: "run", proves: "a run has its steps, and every tab", run },
  { name: "explain", proves: "explain lists the rules for a machine and for a MAC", run: explain },
  { name: "networks", proves: "networks have their subnets, and every tab", run: networks },
  {
    name: "register",
    proves: "a client that nobody registered becomes a machine in one dialog",
    run: register,
  },
  { name: "content", proves: "content lists workflows, and the editor opens a template", run: content },
  { name: "artifacts", proves: "an artifact leads to what needs it", run: artifacts },
  { name: "activity", proves: "an event appears while one looks", run: activity },
  { name: "objects", proves: "every object has a page", run: objects },
  {
    name: "settings",
    proves: "settings have every tab, and make a token that may read and not write",
    run: settings,
  },
];
