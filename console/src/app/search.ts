// The search of the header: what was typed, as questions to the API. Pure but for `findObjects`.

import { api, asProblem, type Page } from "../api/client";

export interface SearchHit {
  kind: string;
  title: string;
  about: string;
  to: string;
}

interface Question {
  list: string;
  scope: string;
  filter: Record<string, string>;
  hit: (row: Record<string, unknown>) => SearchHit;
}

const HITS_MAX = 8;
const MAC = /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$|^[0-9a-f]{12}$|^([0-9a-f]{4}\.){2}[0-9a-f]{4}$/i;
const ADDRESS = /^\d{1,3}(\.\d{1,3}){3}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A MAC as the API shows it. */
export function plainMac(text: string): string {
  const digits = text.toLowerCase().replace(/[^0-9a-f]/g, "");
  return digits.match(/../g)?.join(":") ?? text;
}

export type SearchShape = "mac" | "address" | "uuid" | "word";

export function shapeOf(text: string): SearchShape {
  if (MAC.test(text)) return "mac";
  if (ADDRESS.test(text)) return "address";
  return UUID.test(text) ? "uuid" : "word";
}

const machineHit = (row: Record<string, unknown>): SearchHit => ({
  kind: "machine",
  title: String(row.name),
  about: [
    (row.status as { state?: string } | undefined)?.state,
    (row.macs as string[] | undefined)?.[0],
    row.serial,
  ]
    .filter(Boolean)
    .join(" · "),
  to: `/machines/${String(row.id)}`,
});

const machines = (filter: Record<string, string>): Question => ({
  list: "machines",
  scope: "machines:read",
  filter: { ...filter, fields: "id,name,macs,serial,status.state" },
  hit: machineHit,
});

const leases = (filter: Record<string, string>): Question => ({
  list: "leases",
  scope: "leases:read",
  filter,
  hit: (row) => ({
    kind: "lease",
    title: String(row.address),
    about: [row.mac, row.hostname].filter(Boolean).join(" · "),
    to: `/networks?tab=leases&address=${encodeURIComponent(String(row.address))}`,
  }),
});

const reservations = (filter: Record<string, string>): Question => ({
  list: "reservations",
  scope: "reservations:read",
  filter,
  hit: (row) => ({
    kind: "reservation",
    title: String(row.address),
    about: String(row.machine ?? row.mac ?? ""),
    to: `/networks?tab=reservations&address=${encodeURIComponent(String(row.address))}`,
  }),
});

const runs = (id: string): Question => ({
  list: "runs",
  scope: "runs:read",
  filter: { id },
  hit: (row) => ({
    kind: "run",
    title: `Run of ${String(row.workflow ?? "a workflow")}`,
    about: id,
    to: `/runs/${id}`,
  }),
});

/** Content is found by name. */
const CONTENT = ["workflows", "bootenvs", "templates", "profiles", "params"];
const named = (list: string, text: string): Question => ({
  list,
  scope: `${list}:read`,
  filter: { name: `*${text}*`, fields: "name,description" },
  hit: (row) => ({
    kind: list.replace(/s$/, ""),
    title: String(row.name),
    about: String(row.description ?? ""),
    to: `/content/${list}/${encodeURIComponent(String(row.name))}`,
  }),
});

/** What to ask for a text. A star in it is the API's. */
export function questionsFor(text: string): Question[] {
  const value = text.trim();
  const like = value.includes("*") ? value : `*${value}*`;
  switch (shapeOf(value)) {
    case "mac":
      return [machines({ macs: plainMac(value) }), leases({ mac: plainMac(value) })];
    case "address":
      return [
        machines({ "status.address": value }),
        leases({ address: value }),
        reservations({ address: value }),
      ];
    case "uuid":
      return [machines({ id: value }), machines({ smbios_uuid: value }), runs(value)];
    default:
      return [
        machines({ name: like }),
        machines({ serial: like }),
        ...CONTENT.map((list) => named(list, value.replaceAll("*", ""))),
      ];
  }
}

/** Asks them all at once; what the session may not read is left out. */
export async function findObjects(
  text: string,
  may: (scope: string) => boolean,
  signal: AbortSignal,
): Promise<SearchHit[]> {
  const questions = questionsFor(text).filter(({ scope }) => may(scope));
  const answers = await Promise.allSettled(
    questions.map(async ({ list, filter, hit }) => {
      const query = { ...filter, limit: String(HITS_MAX) };
      const page = await api.get<Page<Record<string, unknown>>>(`/${list}`, query, { signal, quiet: true });
      return page.items.map(hit);
    }),
  );
  const hits = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  const failed = answers.find((answer) => answer.status === "rejected");
  // A filter that nothing can match is refused with 400: that is no hit, and no fault.
  if (hits.length === 0 && failed?.status === "rejected" && asProblem(failed.reason).status !== 400)
    throw failed.reason;
  return hits.filter((hit, index) => hits.findIndex((other) => other.to === hit.to) === index);
}
