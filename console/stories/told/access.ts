// Who gets in and what they see: the login, an expired one, a token that may only read, the policy for
// scripts.

import { giveToken, heading, settled } from "../browser";
import { claim, includes, same, until } from "../check";
import { INSTALLED } from "../scene";
import type { Server } from "../server";
import type { Stage, Story } from "../stage";

async function signIn(stage: Stage): Promise<void> {
  const visitor = await stage.visitor();
  visitor.expectFault(/status of 40[13]/);
  const page = await visitor.context.newPage();
  await page.goto("/console/machines?status.state=complete");
  const field = page.getByLabel("Token", { exact: true });
  await field.fill("mw_wrong");
  await field.press("Enter");
  await page.getByRole("alert").first().waitFor();
  await giveToken(page, stage.server.token);
  includes(
    page.url(),
    "/console/machines?status.state=complete",
    "the login comes back to the page that was asked for",
  );
  await page
    .getByText(INSTALLED[0] ?? "")
    .first()
    .waitFor();
  const cookies = await visitor.context.cookies();
  const cookie = cookies.find((one) => one.name.includes("metalwright_session"));
  claim(
    Boolean(cookie?.httpOnly && cookie.secure && cookie.sameSite === "Strict"),
    "the cookie is HttpOnly, Secure, Strict",
  );
  const kept = await page.evaluate(
    () => JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie,
  );
  claim(!kept.includes(stage.server.token), "the token is kept nowhere in the page");
}

/** Ends every session of the server, as an operator does who suspects one. */
async function endSessions(server: Server): Promise<void> {
  const sessions = await server.ask<{ items: { id: string }[] }>("GET", "/sessions?limit=1000");
  for (const session of sessions.items) await server.ask("DELETE", `/sessions/${session.id}`);
}

async function expired(stage: Stage): Promise<void> {
  const server = await stage.ownServer();
  await server.ask("POST", "/machines", { name: "lone", macs: ["52:54:00:ee:00:01"] });
  const visitor = await stage.visitor({}, server);
  const page = await visitor.signIn(server.token, "/console/machines/name:lone");
  const before = page.url();
  await endSessions(server);
  await page.getByLabel("Token", { exact: true }).waitFor();
  await server.ask("PATCH", "/machines/name:lone", { labels: { written: "meanwhile" } });
  await giveToken(page, server.token);
  same(page.url(), before, "the address after the second login");
  includes(await heading(page), "lone", "the page after the second login");
}

async function readOnly(stage: Stage): Promise<void> {
  const { server } = stage;
  const made = await server.ask<{ token: string }>("POST", "/tokens", {
    name: "reader",
    scopes: ["machines:read"],
  });
  const visitor = await stage.visitor();
  visitor.expectFault(/status of 403/);
  const page = await visitor.signIn(made.token, "/console/machines");
  await page
    .getByText(INSTALLED[0] ?? "")
    .first()
    .waitFor();
  const links = await page.getByRole("navigation").getByRole("link").allInnerTexts();
  claim(
    links.some((text) => text.includes("Machines")),
    `the navigation has the machines: ${links.join(", ")}`,
  );
  claim(
    !links.some((text) => /Networks|Artifacts/.test(text)),
    `it has nothing that the token may not read: ${links.join(", ")}`,
  );
  await page.goto(`/console/machines/name:${INSTALLED[0]}`);
  await settled(page);
  same(
    await page.getByRole("button", { name: /^(Start|Delete|Power)/ }).count(),
    0,
    "buttons that change something",
  );
  await page.goto("/console/networks");
  await until("what may not be seen is said to be so", async () => {
    const text = await page.locator("main").innerText();
    return /subnets:read|may not|not allowed|scope/i.test(text);
  });
}

async function policy(stage: Stage): Promise<void> {
  const visitor = await stage.operator();
  const page = await visitor.context.newPage();
  const answer = await page.goto("/console/");
  const headers = answer?.headers() ?? {};
  const rules = headers["content-security-policy"] ?? "";
  includes(rules, "default-src 'none'", "the policy");
  includes(rules, "frame-ancestors 'none'", "the policy");
  claim(!rules.includes("unsafe"), `the policy has nothing unsafe: ${rules}`);
  same(headers["x-content-type-options"], "nosniff", "X-Content-Type-Options");
  await settled(page);
  const hosts = await page.evaluate(() =>
    performance.getEntriesByType("resource").map((entry) => new URL(entry.name).host),
  );
  claim(
    hosts.every((host) => host === new URL(stage.server.address).host),
    `nothing comes from elsewhere: ${hosts.join(" ")}`,
  );
  visitor.expectFault(/Content Security Policy|violates the following/);
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.injected = true";
    document.body.append(script);
    return "injected" in window;
  });
  same(ran, false, "a script that somebody put into the page runs");
}

async function foreignPage(stage: Stage): Promise<void> {
  const visitor = await stage.operator();
  const page = await visitor.open("/machines");
  const status = (headers: Record<string, string>) =>
    page
      .context()
      .request.post(`${stage.server.address}/api/v1/machines`, { data: { name: "forged" }, headers })
      .then((answer) => answer.status());
  same(await status({ "sec-fetch-site": "cross-site" }), 403, "a write from another site");
  same(await status({ origin: "https://elsewhere.example" }), 403, "a write with another origin");
}

export const ACCESS: Story[] = [
  {
    name: "sign-in",
    proves: "a token signs in, a wrong one is refused with a reason, the address is kept",
    run: signIn,
  },
  {
    name: "expired",
    proves: "a session that was ended asks for a login over the same page, which comes back",
    run: expired,
  },
  {
    name: "read-only",
    proves: "a token that may read machines sees machines, and nothing to change them with",
    run: readOnly,
  },
  {
    name: "policy",
    proves: "the page runs its own scripts only, and reads from its own server only",
    run: policy,
  },
  {
    name: "foreign-page",
    proves: "another site's page cannot write with the visitor's cookie",
    run: foreignPage,
  },
];
