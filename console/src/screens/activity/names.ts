// The names of machines in events, which have ids: asked for in groups, once each.

import { signal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, type Page } from "../../api/client";
import { isGap, type LogRow } from "./log";

/** The words for a subject or an actor: `web1`, `lan`, `server`. */
export type MachineNames = (subject: string) => string;

const known = signal<ReadonlyMap<string, string>>(new Map());
const asked = new Set<string>();
/** Most ids that one request has, and most that a page asks for or learns. */
const GROUP_MAX = 100;
const ASKED_MAX = 20_000;
/** Newest and oldest rows that are looked at for ids: those that arrived, and those that were read. */
const NAMED_MAX = 1_000;
const PAUSE_MS = 250;

const MACHINE = /^machine:([0-9a-f-]{36})$/;

function idsOf(rows: readonly LogRow[]): string[] {
  const ids = new Set<string>();
  for (const row of rows) {
    if (isGap(row)) continue;
    for (const text of [row.subject, row.actor]) {
      const id = MACHINE.exec(text)?.[1];
      if (id && !asked.has(id)) ids.add(id);
    }
    if (ids.size >= GROUP_MAX) break;
  }
  return [...ids];
}

/** Events of machines that were written have their names. */
function learn(rows: readonly LogRow[]): void {
  const told = new Map<string, string>();
  for (const row of rows) {
    if (isGap(row) || !row.kind.startsWith("machine.")) continue;
    const id = MACHINE.exec(row.subject)?.[1];
    const name = (row.data as { name?: unknown } | null)?.name;
    if (id && typeof name === "string" && !known.peek().has(id)) told.set(id, name);
  }
  if (told.size > 0 && known.peek().size < ASKED_MAX) known.value = new Map([...told, ...known.peek()]);
  for (const id of told.keys()) asked.add(id);
}

async function ask(ids: readonly string[]): Promise<void> {
  ids.forEach((id) => asked.add(id));
  const query = { "id[in]": ids.join(","), fields: "id,name", limit: String(GROUP_MAX) };
  try {
    const page = await api.get<Page<{ id: string; name: string }>>("/machines", query, { quiet: true });
    known.value = new Map([...known.peek(), ...page.items.map((row) => [row.id, row.name] as const)]);
  } catch {
    // Without the right to read machines the ids stay.
  }
}

export function useMachineNames(rows: ReadonlySignal<readonly LogRow[]>, opened?: LogRow): MachineNames {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const newest = rows.value[0];
  const count = rows.value.length;
  useEffect(() => {
    // Events may arrive without an end: the question is put off once, and not again by each of them.
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      const all = rows.peek();
      const end = Math.max(NAMED_MAX, all.length - NAMED_MAX);
      const looked = [...(opened ? [opened] : []), ...all.slice(0, NAMED_MAX), ...all.slice(end)];
      learn(looked);
      const ids = asked.size < ASKED_MAX ? idsOf(looked) : [];
      if (ids.length > 0) void ask(ids);
    }, PAUSE_MS);
  }, [count, newest, opened, known.value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const names = known.value;
  return (subject) => {
    const id = MACHINE.exec(subject)?.[1];
    if (id) return names.get(id) ?? id.slice(0, 8);
    return subject.includes(":") ? subject.slice(subject.indexOf(":") + 1) : subject;
  };
}
