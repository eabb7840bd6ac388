// The machines that unknown clients become: names by a pattern, and what is wrong with names. Pure.

import type { UnknownClient } from "./types";

export interface MachineDocument {
  name: string;
  macs: string[];
  arch?: string;
  profiles?: string[];
  workflow?: string;
  labels?: Record<string, string>;
}

/** Numbers that are tried for free names. */
const NUMBERS_MAX = 100_000;

/**
 * A name for each client by its MAC: `node-##` becomes node-01, node-02 … without those that are taken. A
 * pattern without # proposes nothing for more than one.
 */
export function proposedNames(
  clients: readonly UnknownClient[],
  pattern: string,
  taken: ReadonlySet<string>,
): Map<string, string> {
  const names = new Map<string, string>();
  const hashes = /#+/.exec(pattern)?.[0];
  if (!hashes) {
    const [only] = clients;
    if (clients.length === 1 && only?.mac && pattern) names.set(only.mac, pattern);
    return names;
  }
  let number = 0;
  for (const client of clients) {
    let name = "";
    do {
      number += 1;
      name = pattern.replace(hashes, String(number).padStart(hashes.length, "0"));
    } while (taken.has(name) && number < NUMBERS_MAX);
    if (client.mac) names.set(client.mac, name);
  }
  return names;
}

/** What is wrong with each name; undefined for a good one. The server has the last word. */
export function nameFaults(names: readonly string[], taken: ReadonlySet<string>): (string | undefined)[] {
  return names.map((name, at) => {
    if (name.trim() === "") return "Give a name.";
    if (taken.has(name)) return "A machine has this name already.";
    if (names.indexOf(name) !== at) return "Another one above has this name.";
    return undefined;
  });
}

/** `rack=r1 role=db` as labels. */
export function readLabels(text: string): Record<string, string> {
  const words = text.split(/[\s,]+/).filter((word) => word.includes("="));
  return Object.fromEntries(
    words.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]),
  );
}

export function machineDocuments(
  clients: readonly UnknownClient[],
  names: readonly string[],
  chosen: { profile: string; workflow: string; labels: string },
): MachineDocument[] {
  const labels = readLabels(chosen.labels);
  return clients.flatMap((client, at): MachineDocument[] => {
    const name = names[at]?.trim();
    if (!name || !client.mac) return [];
    const machine: MachineDocument = { name, macs: [client.mac] };
    if (client.arch) machine.arch = client.arch;
    if (chosen.profile) machine.profiles = [chosen.profile];
    if (chosen.workflow) machine.workflow = chosen.workflow;
    if (Object.keys(labels).length > 0) machine.labels = labels;
    return [machine];
  });
}
