/** The tests of what the content screen works out. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { addToGroups, differencesOf, type ChangeGroup } from "../src/screens/content/machineGroups";
import { diffLines, unifiedDiff } from "../src/screens/content/lineDiff";
import { conflictCount, hasConflictMarks, mergeTexts, mergedText } from "../src/screens/content/merge3";
import {
  documentsWith,
  indexReferences,
  reachedBy,
  referencesOf,
  type ContentObjects,
} from "../src/screens/content/references";
import {
  failingMachines,
  joinReports,
  reportSentence,
  type UpgradeReport,
} from "../src/screens/content/upgradeReport";

test("two texts differ by the fewest lines", () => {
  assert.deepEqual(diffLines(["a", "b", "c"], ["a", "x", "c", "d"]), [
    { kind: "same", lines: ["a"] },
    { kind: "removed", lines: ["b"] },
    { kind: "added", lines: ["x"] },
    { kind: "same", lines: ["c"] },
    { kind: "added", lines: ["d"] },
  ]);
});

test("a unified difference has three lines around each change and counts from one", () => {
  const lines = Array.from({ length: 12 }, (_, i) => `line ${i + 1}`);
  const changed = lines.with(5, "changed");
  assert.equal(
    unifiedDiff("f", `${lines.join("\n")}\n`, `${changed.join("\n")}\n`),
    [
      "--- a/f",
      "+++ b/f",
      "@@ -3,7 +3,7 @@",
      " line 3",
      " line 4",
      " line 5",
      "-line 6",
      "+changed",
      " line 7",
      " line 8",
      " line 9",
      "",
    ].join("\n"),
  );
  assert.equal(unifiedDiff("f", "a\n", "a\n"), "");
});

test("a very large change is one change, and ends", () => {
  const before = Array.from({ length: 5000 }, (_, i) => `a${i}`);
  const after = Array.from({ length: 5000 }, (_, i) => `b${i}`);
  assert.deepEqual(
    diffLines(before, after).map((run) => run.kind),
    ["removed", "added"],
  );
});

test("changes of two people at different lines are both in the merged text", () => {
  const parts = mergeTexts("a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\nf\n");
  assert.equal(conflictCount(parts), 0);
  assert.equal(mergedText(parts), "A\nb\nc\nd\nE\nf\n");
});

test("changes of one line by two people are a conflict with both texts", () => {
  const parts = mergeTexts("a\nb\nc\n", "a\nmine\nc\n", "a\ntheirs\nc\n");
  assert.equal(conflictCount(parts), 1);
  const text = mergedText(parts);
  assert.equal(text, "a\n<<<<<<< yours\nmine\n=======\ntheirs\n>>>>>>> saved\nc\n");
  assert.ok(hasConflictMarks(text) && !hasConflictMarks("<< x"));
});

test("the same change of two people is no conflict", () => {
  const parts = mergeTexts("a\nb\n", "a\nx\n", "a\nx\n");
  assert.deepEqual(parts, [{ kind: "settled", lines: ["a", "x"] }]);
});

test("a merge loses no line: with equal sides it is either of them", () => {
  const texts = ["", "a\n", "a\nb\nc\n", "x\na\nc\ny\n", "c\nb\na\n"];
  for (const base of texts) {
    for (const other of texts) {
      assert.equal(mergedText(mergeTexts(base, other, base)), other, `${base}|${other}`);
      assert.equal(mergedText(mergeTexts(base, base, other)), other, `${base}|${other}`);
    }
  }
});

const OBJECTS: ContentObjects = {
  templates: [
    { name: "p/main.cfg", body: '{% include "p/clock.cfg" %}{{ param(name="timezone") }}' },
    { name: "p/clock.cfg", body: '{{ param(name="ntp") }}' },
    { name: "t/run.sh", body: "echo" },
    { name: "raw.sh", body: '{% include "p/clock.cfg" %}', verbatim: true },
  ],
  bootenvs: [
    {
      name: "debian",
      boot_params: '{{ param(name="console") }}',
      templates: [{ name: "p", path: "preseed.cfg", template: "p/main.cfg" }],
    },
  ],
  stages: [{ name: "install", bootenv: "debian", tasks: ["greet"], params: { ntp: ["a"] } }],
  tasks: [{ name: "greet", templates: [{ name: "run", template: "t/run.sh" }] }],
  workflows: [{ name: "all", stages: ["install"] }],
  profiles: [{ name: "global", params: { timezone: "UTC" } }],
  params: [{ name: "timezone" }, { name: "ntp" }],
};

test("references lead both ways", () => {
  const index = indexReferences(OBJECTS);
  assert.deepEqual(index.usedBy.get("params/timezone"), [
    { noun: "templates", name: "p/main.cfg", how: "reads" },
    { noun: "profiles", name: "global", how: "sets" },
  ]);
  assert.deepEqual(
    index.usedBy.get("templates/p/clock.cfg"),
    [{ noun: "templates", name: "p/main.cfg", how: "includes" }],
    "a text that is no template includes nothing",
  );
  assert.deepEqual(referencesOf("workflows", { name: "all", stages: ["install"] }), [
    { noun: "stages", name: "install", how: "stage" },
  ]);
});

test("what uses a snippet is found over all that include it", () => {
  const reached = reachedBy(indexReferences(OBJECTS), "templates", "p/clock.cfg");
  assert.deepEqual([...reached].sort(), [
    "bootenvs/debian",
    "stages/install",
    "templates/p/main.cfg",
    "workflows/all",
  ]);
});

test("the documents of a workflow with a snippet are its files and scripts", () => {
  const index = indexReferences(OBJECTS);
  assert.deepEqual(documentsWith("p/clock.cfg", "all", OBJECTS, index), [
    { bootenv: "debian", file: "preseed.cfg", title: "debian/preseed.cfg" },
  ]);
  assert.deepEqual(documentsWith("t/run.sh", "all", OBJECTS, index), [
    { template: "t/run.sh", title: "greet/run" },
  ]);
  assert.deepEqual(documentsWith("p/clock.cfg", "other", OBJECTS, index), []);
});

function machine(number: number) {
  return { id: `id-${number}`, name: `web${number}`, macs: [`52:54:00:00:00:0${number}`] };
}

test("machines whose texts change in the same way are one group, those that fail come first", () => {
  let groups: ChangeGroup[] = [];
  for (const number of [1, 2, 3]) {
    const pairs = [{ path: "f", before: `host web${number}\n`, after: `name web${number}\n` }];
    groups = addToGroups(groups, machine(number), differencesOf(pairs));
  }
  const broken = differencesOf([{ path: "f", before: "a", after: null, fault: "no" }]);
  groups = addToGroups(groups, machine(4), broken);
  groups = addToGroups(groups, machine(5), differencesOf([{ path: "f", before: "a", after: "a" }]));
  assert.deepEqual(
    groups.map((group) => [group.fails, group.machines]),
    [
      [true, ["web4"]],
      [false, ["web1", "web2", "web3"]],
    ],
  );
});

test("a document that failed before too is no change", () => {
  assert.deepEqual(differencesOf([{ path: "f", before: null, after: null, fault: "no" }]), []);
});

function page(machines: string[], fails: boolean, next: string | null): UpgradeReport {
  const groups = [{ digest: fails ? "f" : "d", fails, machines, documents: [], document_count: 0 }];
  return {
    pack: "core",
    channel: "prod",
    from: "1",
    to: "2",
    total: 4,
    checked: machines.length,
    unchanged: 0,
    without_workflow: 0,
    groups,
    next,
  };
}

test("the pages of a check are one report: equal changes together, failures first", () => {
  const report = [
    page(["a", "b"], false, "b"),
    page(["c"], true, "c"),
    page(["d"], false, null),
  ].reduce<UpgradeReport | null>(joinReports, null);
  assert.deepEqual(
    report?.groups.map((group) => group.machines),
    [["c"], ["a", "b", "d"]],
  );
  assert.equal(report && failingMachines(report), 1);
  assert.equal(
    report && reportSentence(report),
    "4 of 4 machines checked, 1 would not get a document any more, 3 get other texts, 0 unchanged.",
  );
});
