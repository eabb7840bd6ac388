// Runs the stories against one server, two at a time, and says which hold. What a story leaves when it
// fails is in `target/stories/NAME`.

import type { Browser } from "playwright-core";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { launch, Visitor } from "./browser";
import { measure } from "./measures";
import { addScene } from "./scene";
import { takeScreenshots } from "./screenshots";
import { Server } from "./server";
import { Stage, type Login, type Story } from "./stage";
import { STORIES } from "./told";

const LANES = 2;
const WHOLE_MS_MAX = 600_000;
const MEASURES_MS_MAX = 2 * 3600_000;

interface Wanted {
  program: string;
  target: string;
  mode: "stories" | "screenshots" | "measures";
  names: string[];
}

function wanted(): Wanted {
  const args = process.argv.slice(2);
  const names = args.filter((arg, index) => !arg.startsWith("--") && args[index - 1] !== "--program");
  const program = args[args.indexOf("--program") + 1];
  if (!args.includes("--program") || !program) throw new Error("--program PROGRAM is missing");
  const mode = args.includes("--screenshots")
    ? "screenshots"
    : args.includes("--measures")
      ? "measures"
      : "stories";
  const target = process.env.CARGO_TARGET_DIR ?? "../target";
  return { program: resolve(program), target: resolve(target), mode, names };
}

function chosen(names: string[]): Story[] {
  const unknown = names.filter((name) => !STORIES.some((story) => story.name === name));
  if (unknown.length > 0) {
    throw new Error(
      `no story ${unknown.join(", ")}; there are: ${STORIES.map((story) => story.name).join(" ")}`,
    );
  }
  return names.length === 0 ? STORIES : STORIES.filter((story) => names.includes(story.name));
}

/** One session for all stories that do not sign in themselves. */
async function signInOnce(browser: Browser, server: Server): Promise<Login> {
  const visitor = await Visitor.come(browser, server);
  await visitor.signIn();
  const state = await visitor.context.storageState();
  await visitor.context.close();
  return state;
}

/** What went wrong, without what nobody reads of it: Playwright's colours and the bundle's stack. */
function indent(trouble: unknown): string {
  const text = trouble instanceof Error ? trouble.message : String(trouble);
  const plain = text.replace(/\u001b\[\d+m/g, "").split("Browser logs:")[0] ?? "";
  return plain.trimEnd().replace(/^/gm, "    ");
}

async function tell(story: Story, stage: Stage): Promise<boolean> {
  const begun = Date.now();
  const trouble = await stage.finish(story);
  const seconds = ((Date.now() - begun) / 1000).toFixed(1).padStart(5);
  console.log(`${trouble ? "FAILED" : "ok    "} ${seconds} s  ${story.name}: ${story.proves}`);
  if (trouble) console.log(indent(trouble));
  return !trouble;
}

async function tellAll(
  browser: Browser,
  server: Server,
  evidence: string,
  stories: Story[],
): Promise<number> {
  const login = await signInOnce(browser, server);
  const queue = [...stories];
  let failed = 0;
  const lane = async () => {
    for (let story = queue.shift(); story; story = queue.shift()) {
      if (!(await tell(story, new Stage(browser, server, login, evidence)))) failed += 1;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return failed;
}

async function main(): Promise<number> {
  const { program, target, mode, names } = wanted();
  const evidence = join(target, "stories");
  mkdirSync(evidence, { recursive: true });
  const stories = mode === "stories" ? chosen(names) : [];
  const server = new Server(program);
  const [browser] = await Promise.all([launch(), server.start()]);
  try {
    if (mode === "measures") await measure(browser, server);
    if (mode !== "measures") await addScene(server);
    if (mode === "screenshots") {
      await takeScreenshots(
        browser,
        server,
        await signInOnce(browser, server),
        join(target, "screenshots"),
        names,
      );
    }
    if (mode !== "stories") return 0;
    const failed = await tellAll(browser, server, evidence, stories);
    if (failed > 0) {
      writeFileSync(join(evidence, "server.log"), server.log());
      console.log(`pictures, traces and the server's log: ${evidence}`);
    }
    console.log(`stories: ${stories.length - failed} passed, ${failed} failed`);
    return failed;
  } finally {
    await browser.close();
    await server.remove();
  }
}

setTimeout(
  () => {
    console.error("the stories take too long");
    process.exit(1);
  },
  process.argv.includes("--measures") ? MEASURES_MS_MAX : WHOLE_MS_MAX,
).unref();
main().then(
  (failed) => process.exit(failed > 0 ? 1 : 0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
