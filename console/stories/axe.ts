// axe on the page as it stands: WCAG 2.0 to 2.2, A and AA.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { Untrue } from "./check";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const NODES_SAID_MAX = 4;
const script = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

interface Violation {
  id: string;
  help: string;
  nodes: { target: unknown[]; failureSummary?: string; html: string }[];
}

interface AxeWindow {
  axe: { run: (where: unknown, options: unknown) => Promise<{ violations: Violation[] }> };
}

/** Everything that axe has to say against the page; only colours where the rest was looked at before. */
export async function violations(page: Page, onlyColours = false): Promise<string[]> {
  // By the debugger and not by an element: the page's policy refuses scripts of others.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(await source());
  const rules = onlyColours ? { type: "rule", values: ["color-contrast"] } : { type: "tag", values: TAGS };
  const found = await page.evaluate(
    (runOnly) =>
      (window as unknown as AxeWindow).axe.run(document, { runOnly, resultTypes: ["violations"] }),
    rules,
  );
  return found.violations.map(said);
}

let text: Promise<string> | undefined;

function source(): Promise<string> {
  text ??= readFile(script, "utf8");
  return text;
}

function said(violation: Violation): string {
  const nodes = violation.nodes.slice(0, NODES_SAID_MAX).map((node) => {
    const why = node.failureSummary?.split("\n").slice(1).join("; ").trim() ?? "";
    return `      ${node.target.join(" ")}: ${why}\n        ${node.html.slice(0, 160)}`;
  });
  return `${violation.id}: ${violation.help} (${violation.nodes.length} times)\n${nodes.join("\n")}`;
}

/** What is wider than the page: it scrolls sideways, or text ends beyond its edge. */
export async function overflows(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const found: string[] = [];
    if (document.documentElement.scrollWidth > width + 1) {
      found.push(`the page is ${document.documentElement.scrollWidth} px wide, the window ${width}`);
    }
    const main = document.querySelector("main");
    if (main && main.scrollWidth > main.clientWidth + 1) {
      found.push(`main is ${main.scrollWidth} px wide, there is room for ${main.clientWidth}`);
    }
    return found;
  });
}

export function claimNone(found: string[], where: string): void {
  if (found.length > 0) throw new Untrue(`${where}:\n    ${found.join("\n    ")}`);
}
