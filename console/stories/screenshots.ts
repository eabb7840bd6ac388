// Pictures of every screen, light and dark, narrow and wide, to look at.

import type { Browser } from "playwright-core";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Visitor } from "./browser";
import { placesOf } from "./places";
import type { Server } from "./server";
import type { Login } from "./stage";

const SIZES = [
  { width: 390, height: 844 },
  { width: 1600, height: 1000 },
];

export async function takeScreenshots(
  browser: Browser,
  server: Server,
  login: Login,
  folder: string,
  names: string[],
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const places = (await placesOf(server)).filter(
    (place) => names.length === 0 || names.includes(place.name),
  );
  for (const size of SIZES) {
    for (const dark of [false, true]) {
      const visitor = await Visitor.come(browser, server, { ...size, dark });
      await visitor.context.addCookies(login.cookies);
      for (const place of places) {
        const page = await visitor.open(place.path);
        const file = `${place.name}-${size.width}-${dark ? "dark" : "light"}.png`;
        await page.screenshot({ path: join(folder, file) });
        await page.close();
        console.log(join(folder, file));
      }
      await visitor.context.close();
    }
  }
}
