// An artifact as the API has it, and what the screen says of it: what to do, what needs it, how large it is.

import type { Fault } from "../../api/client";

export type ArtifactState = "missing" | "fetching" | "extracting" | "ready" | "failed";

export interface MirrorFigures {
  upstream_answers: boolean;
  cached_bytes: number;
  cached_files: number;
  bytes_max: number;
  hits: number;
  misses: number;
  revalidated: number;
  stale: number;
  evicted: number;
  failures?: number;
  fetched_bytes?: number;
  served_bytes?: number;
}

export interface ArtifactStatus {
  state: ArtifactState;
  origin?: string;
  served_origin?: string;
  percent?: number | null;
  reason?: string;
  sha256?: string | null;
  size: number;
  files: number;
  boot_path?: string;
  asked?: "fetch" | "verify" | null;
  verified_at?: string | null;
  damaged?: string[];
  absent?: string[];
  repositories?: {
    package_type: string;
    path?: string;
    distribution?: string;
    components?: string[];
    install_source?: boolean;
    signed?: boolean;
  }[];
  mirror?: MirrorFigures | null;
  roots?: "unchecked" | "within" | "outside";
}

export interface Artifact {
  name: string;
  kind: "tree" | "file";
  path?: string;
  description?: string;
  fetch?: {
    url?: string;
    path?: string;
    checksum?: string | null;
    unverified?: boolean;
    proxy?: string | null;
    files?: { path: string; checksum?: string | null }[];
    mirror?: { bytes_max: number } | null;
  } | null;
  mounts?: { path: string; machines?: string[] }[];
  problems?: Fault[];
  revision: number;
  commit: number;
  source?: string;
  updated_at?: string;
  status: ArtifactStatus;
}

export interface BootenvRow {
  name: string;
  arches?: Record<string, { artifact?: string }>;
}

export interface StageRow {
  name: string;
  bootenv?: string | null;
}

export interface WorkflowRow {
  name: string;
  stages?: string[];
}

/** What needs an artifact, through bootenvs. */
export interface Need {
  bootenvs: string[];
  workflows: string[];
}

export interface Content {
  bootenvs: readonly BootenvRow[];
  stages: readonly StageRow[];
  workflows: readonly WorkflowRow[];
}

/** For each artifact that a bootenv names, also one that does not exist: who needs it. */
export function needsByArtifact({ bootenvs, stages, workflows }: Content): Map<string, Need> {
  const needs = new Map<string, Need>();
  for (const bootenv of bootenvs) {
    const names = new Set(Object.values(bootenv.arches ?? {}).map((arch) => arch.artifact ?? ""));
    const through = new Set(
      stages.filter((stage) => stage.bootenv === bootenv.name).map((stage) => stage.name),
    );
    const reached = workflows.filter((workflow) => workflow.stages?.some((stage) => through.has(stage)));
    for (const name of names) {
      if (name !== "") {
        const need = needs.get(name) ?? { bootenvs: [], workflows: [] };
        need.bootenvs.push(bootenv.name);
        need.workflows = [
          ...new Set([...need.workflows, ...reached.map((workflow) => workflow.name)]),
        ].sort();
        needs.set(name, need);
      }
    }
  }
  return needs;
}

/** The artifacts that bootenvs name and that do not exist. */
export function absentArtifacts(
  needs: ReadonlyMap<string, Need>,
  artifacts: readonly Artifact[],
): [string, Need][] {
  const known = new Set(artifacts.map((artifact) => artifact.name));
  return [...needs].filter(([name]) => !known.has(name)).sort(([a], [b]) => a.localeCompare(b));
}

/** Where the files come from, in one line. */
export function originText(artifact: Artifact): string {
  const { fetch } = artifact;
  if (fetch === undefined || fetch === null) {
    return artifact.path ?? "";
  }
  return fetch.path !== undefined && fetch.path !== "" ? fetch.path : (fetch.url ?? "");
}

/** How the files come to be there. */
export function methodText({ fetch }: Artifact): string {
  if (fetch === undefined || fetch === null) {
    return "files in place";
  }
  if (fetch.mirror !== undefined && fetch.mirror !== null) {
    return "mirror";
  }
  return fetch.path !== undefined && fetch.path !== "" ? "unpacked from this server's disk" : "fetched";
}

export interface Finding {
  severity: "fail" | "warn";
  what: string;
  advice: string;
}

/** Everything that stands against an artifact, with what to do. */
export function findingsOf(artifact: Artifact): Finding[] {
  const { status } = artifact;
  const { damaged = [], absent = [] } = status;
  const found: Finding[] = [];
  const add = (severity: Finding["severity"], what: string, advice: string): void => {
    found.push({ severity, what, advice });
  };
  if (status.state === "failed" || status.state === "missing") {
    add("fail", status.reason || `The artifact is ${status.state}.`, stateAdvice(artifact));
  } else if (status.state === "ready" && (status.reason ?? "") !== "") {
    const advice = "The earlier files are served meanwhile. Mend the source, then fetch again.";
    add("warn", status.reason ?? "", artifact.fetch?.mirror ? mirrorAdvice : advice);
  }
  if (damaged.length > 0) {
    const count = damaged.length === 1 ? "1 file has" : `${damaged.length} files have`;
    const what = `${count} changed since they were read: ${damaged.join(", ")}`;
    add(
      "fail",
      what,
      "Machines get no changed file. Find out who changed them, then fetch again to accept them.",
    );
  }
  if (absent.length > 0) {
    const advice = "Bootenvs name them. Point the artifact at the tree that has them, or mend the bootenv.";
    add("fail", `These files are not there: ${absent.join(", ")}`, advice);
  }
  for (const problem of artifact.problems ?? []) {
    if (!found.some((one) => one.what === problem.message)) {
      add("warn", problem.message, problem.pointer === "" ? "" : `It is about ${problem.pointer}.`);
    }
  }
  return found;
}

const mirrorAdvice = "Kept files are served, however old. Check that this server reaches the upstream.";

function stateAdvice({ fetch, status }: Artifact): string {
  if (status.state === "missing") {
    return "Put the files at the path where the server's user can read them, then read them again.";
  }
  const reason = status.reason ?? "";
  if (reason.includes("fetch.allow")) {
    return "Add the entry to the server's configuration and restart it, then fetch again.";
  }
  if (/checksum|digest|sha256|sha512/iu.test(reason)) {
    return "Compare the checksum with the one that the distribution publishes. A newer file has another one.";
  }
  if (/space|room|disk/iu.test(reason)) {
    return "Make room: prune what no artifact needs, or delete artifacts; then fetch again.";
  }
  return fetch ? "Mend the source, then fetch again." : "Mend the path, then read the files again.";
}

export function isAtWork({ status }: Artifact): boolean {
  return status.state === "fetching" || status.state === "extracting" || Boolean(status.asked);
}

/** What is being done, in words: `fetching, 41 %`. */
export function workText({ status }: Artifact): string {
  const asked =
    status.asked === "verify"
      ? "verify is asked for"
      : status.asked === "fetch"
        ? "a fetch is asked for"
        : "";
  const isBusy = status.state === "fetching" || status.state === "extracting";
  const percent = typeof status.percent === "number" ? `, ${status.percent} %` : "";
  return isBusy ? `${status.state}${percent}` : asked;
}

/** Bytes that the files of all artifacts take, and how many of them are mirrors' caches. */
export function diskUse(artifacts: readonly Artifact[]): { served: number; cached: number; files: number } {
  const use = { served: 0, cached: 0, files: 0 };
  for (const { status } of artifacts) {
    use.cached += status.mirror?.cached_bytes ?? 0;
    use.served += status.mirror ? 0 : status.size;
    use.files += status.mirror?.cached_files ?? status.files;
  }
  return use;
}

export interface PruneReport {
  dry_run: boolean;
  items: { kind: "tree" | "manifest" | "download" | "mirror"; id: string; bytes: number }[];
  bytes: number;
  more: boolean;
}

export const LEFTOVER_TEXTS: Record<PruneReport["items"][number]["kind"], string> = {
  tree: "Tree that no artifact serves",
  manifest: "List of files of such a tree",
  download: "Download that no artifact waits for",
  mirror: "Cache of a mirror that no longer exists",
};
