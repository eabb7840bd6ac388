/** The objects of content, live, with what refers to what. */

import { computed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";

import { useCollection } from "../../live/collection";
import type { NamedProblem } from "../../ui/editor/problems";
import {
  indexReferences,
  type ContentNoun,
  type ContentObject,
  type ContentObjects,
  type ReferenceIndex,
} from "./references";

/** An object of content as the API shows it. */
export interface StoredContent extends ContentObject {
  source: string;
  problems: NamedProblem[];
  description?: string;
  hides?: string[];
  labels: Record<string, string>;
  revision: number;
  commit: number;
  updated_at: string;
  [field: string]: unknown;
}

export interface StoredParam extends StoredContent {
  schema?: unknown;
  default?: unknown;
  secret?: boolean;
  generate?: string | null;
}

export interface StoredOverride {
  name: string;
  target: { kind: string; name: string };
  fields?: Record<string, unknown>;
  blocks?: Record<string, string>;
  description?: string;
  problems: NamedProblem[];
  revision: number;
  updated_at: string;
}

export interface StoredPack {
  name: string;
  pack: string;
  version: string;
  digest: string;
  files: string;
  file_count: number;
  bytes: number;
  description?: string;
  licence?: string;
  priority: number;
  requires?: Record<string, string>;
  signed_by?: string | null;
  problems: NamedProblem[];
  created_at: string;
}

export interface ChannelMove {
  kind: "promoted" | "rolled_back" | "withdrawn";
  pack: string;
  from?: string | null;
  to?: string | null;
  at: string;
  by: string;
  undone?: boolean;
}

export interface StoredChannel {
  name: string;
  packs: Record<string, string>;
  description?: string;
  problems: NamedProblem[];
  revision: number;
  updated_at: string;
  status: { history: ChannelMove[]; core_is_chosen?: boolean };
}

export interface ContentData {
  objects: ReadonlySignal<Record<ContentNoun, readonly StoredContent[]>>;
  index: ReadonlySignal<ReferenceIndex>;
  loading: ReadonlySignal<boolean>;
}

/** All objects of content that the token may read. They are some hundred; with the texts of the templates. */
export function useContent(): ContentData {
  const templates = useCollection<StoredContent>("templates", {});
  const bootenvs = useCollection<StoredContent>("bootenvs", {});
  const stages = useCollection<StoredContent>("stages", {});
  const tasks = useCollection<StoredContent>("tasks", {});
  const workflows = useCollection<StoredContent>("workflows", {});
  const profiles = useCollection<StoredContent>("profiles", {});
  const params = useCollection<StoredContent>("params", {});
  return useMemo(() => {
    const all = { templates, bootenvs, stages, tasks, workflows, profiles, params };
    const objects = computed(() => ({
      templates: templates.rows.value,
      bootenvs: bootenvs.rows.value,
      stages: stages.rows.value,
      tasks: tasks.rows.value,
      workflows: workflows.rows.value,
      profiles: profiles.rows.value,
      params: params.rows.value,
    }));
    const loading = computed(() => Object.values(all).some((one) => one.state.value === "loading"));
    return { objects, index: computed(() => indexReferences(objects.value as ContentObjects)), loading };
  }, []);
}

/** Where an object comes from: the site alone, a pack, or a pack with overrides. */
export type ObjectOrigin = "site" | "pack" | "overridden";

export function originOf(source: string): ObjectOrigin {
  if (!source.startsWith("pack ")) return "site";
  return source.endsWith(" + site") ? "overridden" : "pack";
}

/** The pack of a source, as `NAME@VERSION`; null for the site's own. */
export function packOf(source: string): string | null {
  return /^pack (\S+?)(?: \+ site)?$/.exec(source)?.[1] ?? null;
}

/** The noun of one object, as overrides name it. */
export function singular(noun: ContentNoun): string {
  return noun.slice(0, -1);
}

export function pageOf(noun: string, name: string): string {
  return `/content/${noun}/${name.split("/").map(encodeURIComponent).join("/")}`;
}
