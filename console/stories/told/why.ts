// An operator finds out why a machine does not boot, and an unknown one is registered.

import { heading, settled } from "../browser";
import { claim, includes } from "../check";
import { ASKING } from "../scene";
import type { Stage, Story } from "../stage";

async function whyNot(stage: Stage): Promise<void> {
  const visitor = await stage.operator();
  const page = await visitor.open("/");
  // It stands on the first page, among what needs somebody.
  const entry = page.locator("main").getByRole("link", { name: ASKING.name }).first();
  await entry.waitFor();
  await entry.click();
  await settled(page);
  includes(await heading(page), ASKING.name, "the machine's page");
  // The reason is there without a further click, in the installer's own words.
  await page.locator("main").getByText(ASKING.question).first().waitFor();
  // What it got is on the timeline: the kernel, and nothing after the question.
  const timeline = await page.locator("main").innerText();
  claim(/linux|kernel/i.test(timeline), "the timeline has the kernel");
  // What it would boot now, and by which rule.
  await page.goto(`/console/explain?who=${ASKING.name}`);
  await settled(page);
  await page.locator("main").getByText("debian-12-install").first().waitFor();
  // Back leads to the machine.
  await page.goBack();
  await settled(page);
  includes(await heading(page), ASKING.name, "back");
}

export const WHY: Story[] = [
  {
    name: "why-not",
    proves: "an operator finds out in three clicks why a machine does not boot",
    run: whyNot,
  },
];
