// What the server of the stories has: a subnet, an installer, machines that installed themselves, one whose
// installer asks, one that waits for its power, one that nobody registered.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Untrue, until } from "./check";
import type { Server } from "./server";

export const WORKFLOW = "install-debian-12";
/** Machines that install themselves at once. */
export const INSTALLED = ["web1", "web2", "web3"];
/** A machine whose installer asks a question, with what it asks. */
export const ASKING = { name: "db1", mac: "52:54:00:bb:00:01", question: "Bad archive mirror" };
/** A machine that was started and is not switched on. */
export const WAITING = { name: "cache1", mac: "52:54:00:cc:00:01" };
/** A client that nobody registered. */
export const UNKNOWN = "52:54:00:dd:00:01";
/** Another one, which a story registers. */
export const NEWCOMER = "52:54:00:dd:00:02";
const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g stories";
const ARTIFACT = "debian-12-amd64";

export const macOf = (index: number) => `52:54:00:aa:00:0${index + 1}`;

interface Named {
  id: string;
  name: string;
}

/** A subnet on loopback, an installer without content, and who may log in to what is installed. */
export async function addSite(server: Server): Promise<void> {
  await server.ask("POST", "/subnets", {
    name: "loopback",
    cidr: "127.1.0.0/24",
    pools: [{ start: "127.1.0.10", end: "127.1.0.250" }],
    relays: ["127.0.0.1"],
  });
  await server.ask("POST", "/profiles", { name: "global", params: { ssh_keys: [KEY] } });
  const folder = join(server.folder, "installer");
  mkdirSync(folder);
  writeFileSync(join(folder, "linux"), Buffer.alloc(300_000, 1));
  writeFileSync(join(folder, "initrd.gz"), Buffer.alloc(700_000, 2));
  await server.ask("POST", "/artifacts", { name: ARTIFACT, kind: "tree", path: folder });
  await until("the installer is ready", async () => {
    const artifact = await server.ask<{ status: { state: string } }>("GET", `/artifacts/name:${ARTIFACT}`);
    return artifact.status.state === "ready";
  });
}

export function addMachine(server: Server, name: string, mac: string, more: object = {}): Promise<Named> {
  return server.ask("POST", "/machines", { name, macs: [mac], ...more });
}

export function startMachine(server: Server, name: string): Promise<unknown> {
  return server.ask("POST", `/machines/name:${name}/actions/start`, { workflow: WORKFLOW });
}

/** Switches simulated machines on, and is back when they have gone as far as they go. */
export async function simulate(server: Server, mac: string, ...more: string[]): Promise<string> {
  const told = await server.run(
    "simulate",
    "--quiet",
    "--firmware",
    "uefi",
    "--dhcp",
    server.dhcp,
    "--mac",
    mac,
    ...more,
  );
  if (told.code !== 0) throw new Untrue(`the simulator ended with ${told.code}: ${told.out}`);
  return told.out;
}

/** Everything that the stories look at. */
export async function addScene(server: Server): Promise<void> {
  await addSite(server);
  for (const [index, name] of INSTALLED.entries()) {
    await addMachine(server, name, macOf(index), { labels: { rack: index < 2 ? "a1" : "a2" } });
    await startMachine(server, name);
  }
  await addMachine(server, ASKING.name, ASKING.mac);
  await startMachine(server, ASKING.name);
  await addMachine(server, WAITING.name, WAITING.mac);
  await startMachine(server, WAITING.name);
  await Promise.all([
    simulate(server, macOf(0), "--count", String(INSTALLED.length)),
    simulate(server, ASKING.mac, "--installer-asks", ASKING.question),
    // The server has nothing for it: the simulator ends with what it got, whatever that is.
    server.run("simulate", "--quiet", "--dhcp", server.dhcp, "--mac", UNKNOWN, "--count", "2"),
  ]);
}
