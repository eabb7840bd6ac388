// Everything without a mouse.

import { heading, settled } from "../browser";
import { claim, includes, until } from "../check";
import { INSTALLED } from "../scene";
import type { Stage, Story } from "../stage";

/** What has the focus: its role, its name, whether the page shows that it has. */
function focused() {
  const element = document.activeElement;
  if (!(element instanceof HTMLElement)) return { role: "", name: "", isSeen: false };
  const style = getComputedStyle(element);
  const isSeen =
    (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  return { role: element.getAttribute("role") ?? element.tagName, name: element.innerText ?? "", isSeen };
}

async function keyboardOnly(stage: Stage): Promise<void> {
  const visitor = await stage.operator();
  const page = await visitor.open("/");
  // Each step of Tab shows where it is.
  for (let step = 0; step < 12; step += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(focused);
    claim(at.isSeen || at.role === "BODY", `the focus is seen on ${at.role} ${at.name}`);
  }
  // `g m` goes to the machines.
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  await page.waitForURL(/\/console\/machines/);
  await settled(page);
  // The palette finds a screen by its name.
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").last().fill("networks");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/console\/networks/);
  await settled(page);
  // The search finds a machine.
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.keyboard.press("/");
  await page.keyboard.type(INSTALLED[1] ?? "", { delay: 15 });
  await page.getByRole("option").first().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/console\/machines\//);
  await settled(page);
  includes(await heading(page), INSTALLED[1] ?? "", "what the search led to");
}

async function listByKeyboard(stage: Stage): Promise<void> {
  const visitor = await stage.operator();
  const page = await visitor.open("/machines");
  const grid = page.getByRole("grid").first();
  await grid.waitFor();
  await grid.focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Space");
  await until(
    "a row is selected",
    async () => (await page.locator("[role=row][aria-selected=true]").count()) > 0,
  );
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/console\/machines\/.+/);
  await page.goBack();
  await page.waitForURL(/\/console\/machines$/);
}

export const KEYBOARD: Story[] = [
  {
    name: "keyboard",
    proves: "keys alone lead from the first page to any screen and any machine",
    run: keyboardOnly,
  },
  { name: "list-keys", proves: "keys alone select and open rows of the list", run: listByKeyboard },
];
