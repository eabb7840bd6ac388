/** What content refers to what: from the objects themselves, both ways. */

import { templateReads } from "../../ui/editor/blocks";

export type ContentNoun =
  "templates" | "bootenvs" | "stages" | "tasks" | "workflows" | "profiles" | "params";

/** One object that another one names, and how. */
export interface ContentReference {
  noun: ContentNoun;
  name: string;
  /** What it is to the other: `includes`, `task`, `sets`. */
  how: string;
}

interface NamedText {
  name?: string;
  template?: string | null;
  inline?: string | null;
  path?: string | null;
}

/** The fields of objects of content that name others. */
export interface ContentObject {
  name: string;
  body?: string;
  verbatim?: boolean;
  bootenv?: string | null;
  boot_params?: string;
  tasks?: string[];
  stages?: string[];
  templates?: NamedText[];
  prerequisites?: string[];
  required_params?: string[];
  params?: Record<string, unknown>;
  profiles?: string[];
}

export type ContentObjects = Record<ContentNoun, readonly ContentObject[]>;

/** The references of all objects, by the key of [`referenceKey`]. */
export interface ReferenceIndex {
  uses: Map<string, ContentReference[]>;
  usedBy: Map<string, ContentReference[]>;
}

export function referenceKey(noun: ContentNoun, name: string): string {
  return `${noun}/${name}`;
}

export function indexReferences(objects: ContentObjects): ReferenceIndex {
  const index: ReferenceIndex = { uses: new Map(), usedBy: new Map() };
  for (const noun of Object.keys(objects) as ContentNoun[]) {
    for (const object of objects[noun]) {
      for (const named of referencesOf(noun, object)) {
        push(index.uses, referenceKey(noun, object.name), named);
        const user = { noun, name: object.name, how: named.how };
        push(index.usedBy, referenceKey(named.noun, named.name), user);
      }
    }
  }
  return index;
}

function push(map: Map<string, ContentReference[]>, key: string, reference: ContentReference): void {
  const known = map.get(key);
  if (!known) map.set(key, [reference]);
  else if (!known.some((one) => sameReference(one, reference))) known.push(reference);
}

function sameReference(a: ContentReference, b: ContentReference): boolean {
  return a.noun === b.noun && a.name === b.name && a.how === b.how;
}

/** What an object names. */
export function referencesOf(noun: ContentNoun, object: ContentObject): ContentReference[] {
  const to = (other: ContentNoun, how: string) => (name: string) => ({ noun: other, name, how });
  const found: ContentReference[] = [
    ...(object.tasks ?? []).map(to("tasks", "task")),
    ...(object.stages ?? []).map(to("stages", "stage")),
    ...(object.prerequisites ?? []).map(to("tasks", "prerequisite")),
    ...(object.required_params ?? []).map(to("params", "requires")),
    ...(object.profiles ?? []).map(to("profiles", "profile")),
    ...Object.keys(object.params ?? {}).map(to("params", "sets")),
    ...(object.bootenv ? [{ noun: "bootenvs" as const, name: object.bootenv, how: "bootenv" }] : []),
    ...(object.templates ?? [])
      .flatMap((text) => (text.template ? [text.template] : []))
      .map(to("templates", "file")),
  ];
  return [...found, ...textsOf(noun, object).flatMap(readsOf)];
}

function textsOf(noun: ContentNoun, object: ContentObject): string[] {
  const body = noun === "templates" && !object.verbatim ? [object.body ?? ""] : [];
  const inline = (object.templates ?? []).flatMap((text) => [text.inline ?? "", text.path ?? ""]);
  return [...body, object.boot_params ?? "", ...inline].filter((text) => text.includes("{"));
}

function readsOf(text: string): ContentReference[] {
  const reads = templateReads(text);
  const to = (other: ContentNoun, how: string) => (name: string) => ({ noun: other, name, how });
  return [
    ...reads.includes.map(to("templates", "includes")),
    ...(reads.extended ? [{ noun: "templates" as const, name: reads.extended, how: "extends" }] : []),
    ...reads.optional.map(to("templates", "includes if it is there")),
    ...reads.params.map(to("params", "reads")),
  ];
}

/** All objects that lead to one, over any number of others. */
export function reachedBy(index: ReferenceIndex, noun: ContentNoun, name: string): Set<string> {
  const found = new Set<string>();
  const open = [referenceKey(noun, name)];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    for (const user of index.usedBy.get(key) ?? []) {
      const next = referenceKey(user.noun, user.name);
      if (found.has(next)) continue;
      found.add(next);
      open.push(next);
    }
  }
  return found;
}

/** A document that a machine gets: a file of a bootenv, or a script of a task. */
export interface ContentDocument {
  bootenv?: string;
  /** The file of the bootenv, or the template of the task. */
  file?: string;
  template?: string;
  /** What people call it. */
  title: string;
}

/** The documents of a workflow in which a template stands, itself or by what includes it. */
export function documentsWith(
  template: string,
  workflow: string,
  objects: ContentObjects,
  index: ReferenceIndex,
): ContentDocument[] {
  const within = reachedBy(index, "templates", template);
  const has = (name: string | null | undefined) =>
    name === template || (typeof name === "string" && within.has(referenceKey("templates", name)));
  const named = <T extends ContentObject>(list: readonly T[], name: string | null | undefined) =>
    list.find((object) => object.name === name);
  const found = new Map<string, ContentDocument>();
  for (const stageName of named(objects.workflows, workflow)?.stages ?? []) {
    const stage = named(objects.stages, stageName);
    const bootenv = named(objects.bootenvs, stage?.bootenv);
    for (const text of bootenv?.templates ?? []) {
      if (bootenv && text.path && has(text.template)) {
        const title = `${bootenv.name}/${text.path}`;
        found.set(title, { bootenv: bootenv.name, file: text.path, title });
      }
    }
    for (const task of (stage?.tasks ?? []).map((name) => named(objects.tasks, name))) {
      for (const text of task?.templates ?? []) {
        if (task && text.template && has(text.template)) {
          const title = `${task.name}/${text.name ?? text.template}`;
          found.set(title, { template: text.template, title });
        }
      }
    }
  }
  return [...found.values()];
}
