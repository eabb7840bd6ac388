// axe on every screen, light and dark, narrow and wide; and nothing is wider than a narrow window.

import { claimNone, overflows, violations } from "../axe";
import { drawn, visit } from "../browser";
import { placesOf } from "../places";
import type { Stage, Story } from "../stage";

const SIZES = [
  { width: 360, height: 780 },
  { width: 1440, height: 900 },
];

async function look(stage: Stage, width: number, height: number): Promise<void> {
  const visitor = await stage.operator({ width, height });
  const page = await visitor.open("/");
  const found: string[] = [];
  for (const place of await placesOf(stage.server)) {
    await page.emulateMedia({ colorScheme: "light" });
    await visit(page, `/console${place.path}`);
    const where = `${place.name} at ${width} px`;
    found.push(...(await violations(page)).map((violation) => `${where}, light: ${violation}`));
    found.push(...(await overflows(page)).map((violation) => `${where}: ${violation}`));
    await page.emulateMedia({ colorScheme: "dark" });
    await drawn(page);
    found.push(...(await violations(page, true)).map((violation) => `${where}, dark: ${violation}`));
  }
  claimNone(found, "axe and the width of the window");
}

export const ACCESSIBILITY: Story[] = SIZES.map(({ width, height }) => ({
  name: `axe-${width}`,
  proves: `no screen has a violation that axe finds, light or dark, ${width} px wide`,
  run: (stage) => look(stage, width, height),
}));
