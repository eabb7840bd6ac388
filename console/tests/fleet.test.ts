// The overview and the artifacts: what is said, and where it leads.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  absentArtifacts,
  diskUse,
  findingsOf,
  needsByArtifact,
  workText,
  type Artifact,
  type ArtifactStatus,
} from "../src/screens/artifacts/artifact";
import { artifactOf, EMPTY_FORM } from "../src/screens/artifacts/artifact_form";
import {
  actorText,
  groupRecent,
  itemUrl,
  needTitle,
  needUrl,
  percentText,
  stateCounts,
  subjectUrl,
  type NeedRow,
  type RecentEvent,
} from "../src/screens/overview/summary";

const need = (kind: string, list: string, filter: string, count = 2): NeedRow => ({
  kind,
  severity: "fail",
  count,
  list,
  filter,
  items: [],
});

function artifact(status: Partial<ArtifactStatus>, rest: Partial<Artifact> = {}): Artifact {
  return {
    name: "debian",
    kind: "tree",
    path: "/srv/d",
    revision: 1,
    commit: 1,
    status: { state: "ready", size: 10, files: 2, ...status },
    ...rest,
  };
}

test("what needs somebody leads to the list with its filter, and to the object", () => {
  assert.equal(needUrl(need("failed", "machines", "status.state=failed")), "/machines?status.state=failed");
  assert.equal(needUrl(need("unknown_clients", "unknown_clients", "")), "/networks?tab=clients");
  assert.equal(itemUrl(need("failed", "machines", ""), { ref: "0193", name: "web1" }), "/machines/0193");
  assert.equal(needTitle(need("failed", "machines", "", 1)), "1 machine failed");
  assert.equal(needTitle(need("failed", "machines", "", 1200)), "1,200 machines failed");
  assert.equal(needTitle(need("brand_new", "machines", "")), "2 brand new");
});

test("a rate below one is never shown as 100 %", () => {
  assert.equal(percentText(0.9999), "99.9 %");
  assert.equal(percentText(1), "100 %");
  assert.equal(percentText(0.952), "95.2 %");
});

test("every state is counted, also one that no machine has", () => {
  const counts = stateCounts({
    total: 4,
    states: { failed: 1, complete: 3 },
    armed: 0,
    paused: 0,
    locked: 0,
    overdue: 0,
  });
  assert.equal(counts.length, 7);
  assert.deepEqual(
    counts.find((one) => one.state === "failed"),
    { state: "failed", count: 1, share: 0.25 },
  );
});

test("an event leads to its subject's page where there is one", () => {
  assert.equal(subjectUrl("machine:0193"), "/machines/0193");
  assert.equal(subjectUrl("token:0193"), undefined);
});

test("what needs an artifact is found through stages, and what nobody made is told", () => {
  const needs = needsByArtifact({
    bootenvs: [
      { name: "deb", arches: { amd64: { artifact: "debian" }, arm64: { artifact: "debian-arm" } } },
    ],
    stages: [{ name: "install", bootenv: "deb" }, { name: "done" }],
    workflows: [
      { name: "w1", stages: ["install", "done"] },
      { name: "w2", stages: ["done"] },
    ],
  });
  assert.deepEqual(needs.get("debian"), { bootenvs: ["deb"], workflows: ["w1"] });
  assert.deepEqual(
    absentArtifacts(needs, [artifact({})]).map(([name]) => name),
    ["debian-arm"],
  );
});

test("an artifact that fails says what to do", () => {
  const [failed] = findingsOf(
    artifact({ state: "failed", reason: "the digest differs" }, { fetch: { url: "https://h/x" } }),
  );
  assert.match(failed?.advice ?? "", /checksum/);
  const [allow] = findingsOf(artifact({ state: "failed", reason: "add it to the list `fetch.allow`" }));
  assert.match(allow?.advice ?? "", /configuration/);
  const [old] = findingsOf(artifact({ reason: "the newest fetch failed" }));
  assert.equal(old?.severity, "warn");
  const damaged = findingsOf(artifact({ damaged: ["linux"], absent: ["initrd.gz"] }));
  assert.deepEqual(
    damaged.map((one) => one.severity),
    ["fail", "fail"],
  );
  assert.deepEqual(findingsOf(artifact({})), []);
});

test("work shows its progress, and disk use counts what mirrors keep apart", () => {
  assert.equal(workText(artifact({ state: "fetching", percent: 41 })), "fetching, 41 %");
  assert.equal(workText(artifact({ asked: "verify" })), "verify is asked for");
  const mirror = {
    upstream_answers: true,
    cached_bytes: 7,
    cached_files: 3,
    bytes_max: 9,
    hits: 0,
    misses: 0,
    revalidated: 0,
    stale: 0,
    evicted: 0,
  };
  assert.deepEqual(diskUse([artifact({}), artifact({ mirror, size: 99 })]), {
    served: 10,
    cached: 7,
    files: 5,
  });
});

test("a new artifact is what its form says", () => {
  const form = { ...EMPTY_FORM, name: " deb ", place: "https://h/d" };
  assert.deepEqual(artifactOf({ ...form, kind: "url", checksum: "sha256:00" }), {
    name: "deb",
    fetch: { url: "https://h/d", checksum: "sha256:00" },
  });
  assert.deepEqual(artifactOf({ ...form, kind: "file", isUnverified: true }), {
    name: "deb",
    kind: "file",
    fetch: { url: "https://h/d", unverified: true },
  });
  assert.deepEqual(
    artifactOf({ ...form, kind: "files", files: "linux sha256:00\n\n initrd.gz sha256:11 " }).fetch,
    {
      url: "https://h/d",
      files: [
        { path: "linux", checksum: "sha256:00" },
        { path: "initrd.gz", checksum: "sha256:11" },
      ],
    },
  );
  assert.deepEqual(
    artifactOf({ ...form, kind: "mirror", keep: "1", repositories: "bookworm\n9/BaseOS" }).fetch,
    {
      url: "https://h/d",
      mirror: { bytes_max: 1073741824, repositories: [{ distribution: "bookworm" }, { path: "9/BaseOS" }] },
    },
  );
});

test("what one call changed many times is one line, and a machine is told from a token", () => {
  const event = (seq: number, request_id: string | undefined, kind = "machine.deleted"): RecentEvent => ({
    seq,
    time: "2026-11-30T22:00:00Z",
    kind,
    subject: `machine:${seq}`,
    actor: "token:admin",
    ...(request_id === undefined ? {} : { request_id }),
  });
  const events = [
    event(5, "a"),
    event(4, "a"),
    event(3, "a", "machine.updated"),
    event(2, undefined),
    event(1, undefined),
  ];
  assert.deepEqual(
    groupRecent(events).map((group) => [group.event.seq, group.count]),
    [
      [5, 2],
      [3, 1],
      [2, 1],
      [1, 1],
    ],
  );
  assert.equal(actorText(event(1, "a")), "token admin");
  assert.equal(actorText({ ...event(1, "a"), actor: "machine:1" }), "the machine itself");
});
