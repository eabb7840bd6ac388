// One story for each screen: what it must show of the scene.

import { settled } from "../browser";
import { includes, until } from "../check";
import { ASKING, INSTALLED, WAITING, WORKFLOW } from "../scene";
import { placesOf } from "../places";
import type { Stage, Story } from "../stage";

/** Opens a screen's place, waits until all these texts stand on it, and comes back to it by a reload. */
async function shows(stage: Stage, name: string, texts: (string | RegExp)[]): Promise<void> {
  const place = (await placesOf(stage.server)).find((one) => one.name === name);
  if (!place) throw new Error(`no place ${name}`);
  const visitor = await stage.operator();
  const page = await visitor.open(place.path);
  for (const text of texts) await page.locator("main").getByText(text).first().waitFor();
  const title = await page.title();
  await until("the window has a title", async () => title.length > 0);
  await page.reload();
  await settled(page);
  for (const text of texts) await page.locator("main").getByText(text).first().waitFor();
  includes(page.url(), place.path.split("?")[0] ?? "", "the address after a reload");
}

const story = (name: string, proves: string, texts: (string | RegExp)[]): Story => ({
  name,
  proves,
  run: (stage) => shows(stage, name, texts),
});

export const SCREENS: Story[] = [
  story("overview", "the overview has what needs somebody", [ASKING.name]),
  story("machines", "the list has all machines with their states", [
    ...INSTALLED,
    ASKING.name,
    WAITING.name,
  ]),
  story("machine", "a machine's page has its reason and its timeline", [ASKING.question]),
  story("run", "a run's page has its steps", [WORKFLOW]),
  story("explain", "explain has the rules in their order", [INSTALLED[0] ?? ""]),
  story("networks", "networks have subnets with their pools", ["127.1.0.0/24"]),
  story("content", "content has what the program brings", [WORKFLOW]),
  story("artifacts", "artifacts have their states", ["debian-12-amd64"]),
  story("activity", "activity has what happened", [/artifact|machine|run/i]),
  story("settings", "settings have the tokens", [/token/i]),
];
