// Pure code of the shell: paths, filters, differences, terminal colours, times, patches, commands, search.

import assert from "node:assert/strict";
import { test } from "node:test";
import { commandOf, curlOf, shellWord } from "../src/api/commands";
import { compilePath, matchPath } from "../src/app/paths";
import { compareValues, kindOf, sortRows, valueAt } from "../src/live/merge";
import { parseAnsi, plainText } from "../src/ui/ansi";
import { diffLines, foldSame, parseUnified } from "../src/ui/diff-lines";
import { filterQuery, parseOrName, parseTyped, suggest, withFilter, withoutFilter } from "../src/ui/filter";
import { bytesText, durationText, relativeText } from "../src/ui/format";
import { completeField, fieldAt, hoverField } from "../src/ui/object-fields";
import { mergePatch } from "../src/ui/object-patch";
import { rowWindow, scrollToRow, select } from "../src/ui/window";

test("paths give their parts decoded", () => {
  assert.deepEqual(matchPath(compilePath("/machines/:ref"), "/machines/name%3Aweb1"), { ref: "name:web1" });
  assert.deepEqual(matchPath(compilePath("/content/:kind/:name*"), "/content/templates/a/b.j2"), {
    kind: "templates",
    name: "a/b.j2",
  });
  assert.deepEqual(matchPath(compilePath("/"), "/"), {});
  assert.equal(matchPath(compilePath("/machines/:ref"), "/machines/a/b"), undefined);
  assert.deepEqual(matchPath(compilePath("/machines/:ref"), "/machines/%zz"), { ref: "%zz" });
});

test("filters are read as they are typed", () => {
  assert.deepEqual(parseTyped("status.state=failed"), {
    field: "status.state",
    operator: "eq",
    value: "failed",
  });
  assert.deepEqual(parseTyped("revision >= 3"), { field: "revision", operator: "gte", value: "3" });
  assert.deepEqual(parseTyped("updated_at[gt]=-1h"), { field: "updated_at", operator: "gt", value: "-1h" });
  assert.deepEqual(parseTyped("name!=web1"), { field: "name", operator: "ne", value: "web1" });
  assert.equal(parseTyped("label.example.org/owner=ops")?.field, "label.example.org/owner");
  assert.equal(parseTyped("status.state="), undefined);
  assert.equal(parseTyped("name[odd]=1"), undefined);
  assert.deepEqual(parseOrName("web"), { field: "name", operator: "eq", value: "*web*" });
  assert.equal(parseOrName("name="), undefined);
});

test("only filters of an address go to the API", () => {
  const query = new URLSearchParams("tab=files&status.state[in]=failed,held&label.role=db&mine=1");
  assert.equal(
    decodeURIComponent(filterQuery(query, ["mine"]).toString()),
    "status.state[in]=failed,held&label.role=db",
  );
});

test("a filter that is added twice stands once, and goes as it came", () => {
  const filter = { field: "label.rack", operator: "eq", value: "r1" } as const;
  const query = withFilter(withFilter(new URLSearchParams("tab=a"), filter), filter);
  assert.equal(query.toString(), "tab=a&label.rack=r1");
  assert.equal(withoutFilter(query, filter).toString(), "tab=a");
});

const FIELDS = [
  { name: "name", type: "text", about: "", words: [] },
  {
    name: "status.state",
    type: "word",
    about: "What it does.",
    words: [
      { value: "failed", about: "" },
      { value: "held", about: "" },
    ],
  },
  { name: "locked", type: "flag", about: "", words: [] },
];

test("suggestions follow what is typed: field, operator, value", () => {
  assert.deepEqual(
    suggest("st", FIELDS).map(({ text }) => text),
    ["status.state="],
  );
  assert.deepEqual(
    suggest("status.state=h", FIELDS).map(({ text }) => text),
    ["status.state=held"],
  );
  assert.deepEqual(
    suggest("status.state[in]=failed,h", FIELDS).map(({ text }) => text),
    ["status.state[in]=failed,held"],
  );
  assert.deepEqual(
    suggest("locked=", FIELDS).map(({ label }) => label),
    ["true", "false"],
  );
  assert.ok(suggest("name", FIELDS).some(({ text }) => text === "name[like]="));
});

function apply(lines: ReturnType<typeof diffLines>, without: "added" | "removed"): string {
  return lines
    .filter((line) => line.kind !== without)
    .map((line) => `${line.text}\n`)
    .join("");
}

test("a difference gives both texts back and is as short as can be", () => {
  const texts = ["a\nb\nc\n", "a\nc\n", "b\na\nc\nd\n", "", "x\n", "a\na\na\n", "c\nb\na\n"];
  for (const before of texts) {
    for (const after of texts) {
      const lines = diffLines(before, after);
      assert.equal(apply(lines, "added"), before);
      assert.equal(apply(lines, "removed"), after);
    }
  }
  assert.deepEqual(
    diffLines("a\nb\nc\n", "a\nx\nc\n").map(({ kind }) => kind),
    ["same", "removed", "added", "same"],
  );
});

test("equal parts are folded and counted", () => {
  const before = Array.from({ length: 30 }, (_, index) => `line ${index}`).join("\n");
  const folded = foldSame(diffLines(before, before.replace("line 15", "other")), 2);
  assert.deepEqual(
    folded.map((line) => (line.kind === "gap" ? line.count : line.kind)),
    [13, "same", "same", "removed", "added", "same", "same", 12],
  );
});

test("a unified diff has the line numbers of both sides", () => {
  const lines = parseUnified("--- a\n+++ b\n@@ -3,2 +3,2 @@\n same\n-old\n+new\n");
  assert.deepEqual(lines.slice(1), [
    { kind: "same", text: "same", before: 3, after: 3 },
    { kind: "removed", text: "old", before: 4 },
    { kind: "added", text: "new", after: 4 },
  ]);
});

test("colours of terminals become classes and other control sequences go", () => {
  assert.deepEqual(parseAnsi("a\u001b[1;31mred\u001b[0m b\u001b[2K"), [
    { text: "a", look: "" },
    { text: "red", look: "ansi-1 ansi-bold" },
    { text: " b", look: "" },
  ]);
  assert.equal(plainText("10 %\r50 %\r100 %\r"), "100 %");
  assert.equal(plainText("\u001b]0;title\u0007text"), "text");
  assert.deepEqual(parseAnsi("\u001b[38;5;1mx\u001b[38;2;1;2;3my"), [
    { text: "x", look: "ansi-1" },
    { text: "y", look: "ansi-1" },
  ]);
});

test("times and sizes are short", () => {
  assert.deepEqual([40, 1500, 125_000, 90_061_000].map(durationText), [
    "40 ms",
    "1.5 s",
    "2 min 5 s",
    "1 d 1 h",
  ]);
  assert.deepEqual(
    [relativeText(0, 300_000), relativeText(7_200_000, 0), relativeText(0, 1000)],
    ["5 min ago", "in 2 h", "now"],
  );
  assert.deepEqual([512, 1536, 157_286_400].map(bytesText), ["512 B", "1.5 KiB", "150 MiB"]);
});

test("a patch says only what changed", () => {
  const before = {
    name: "a",
    labels: { x: "1", y: "2" },
    macs: ["m"],
    params: { secret: { sealed: true } },
  };
  assert.equal(mergePatch(before, structuredClone(before)), undefined);
  const after = { ...before, labels: { x: "1", z: "3" }, macs: ["m", "n"] };
  assert.deepEqual(mergePatch(before, after), { labels: { y: null, z: "3" }, macs: ["m", "n"] });
});

test("calls are shown as commands that can be typed", () => {
  const call = {
    method: "GET",
    path: "/machines",
    query: "status.state=failed&sort=-updated_at",
    body: undefined,
    media: undefined,
    status: 200,
    milliseconds: 1,
  };
  assert.equal(
    commandOf(call),
    "metalwright machines list --filter status.state=failed --sort -updated_at",
  );
  assert.equal(
    commandOf({ ...call, path: "/machines/name:web1", query: "" }),
    "metalwright machines show web1",
  );
  assert.equal(
    commandOf({ ...call, method: "POST", path: "/machines/x/actions/mark_done" }),
    "metalwright machines mark-done x",
  );
  assert.match(
    curlOf({ ...call, method: "PATCH", body: '{"a":"it\'s"}' }, "https://h"),
    /merge-patch\+json' -d '\{"a":"it'\\''s"\}'/,
  );
  assert.equal(shellWord("a b"), "'a b'");
});

test("values sort as people read them, the absent last", () => {
  assert.deepEqual(["web10", "web9", null, "web1"].sort(compareValues), ["web1", "web9", "web10", null]);
  const rows = [{ a: { b: 1 } }, { a: { b: 3 } }, {}, { a: { b: 2 } }];
  assert.deepEqual(
    sortRows(rows, "-a.b").map((row) => valueAt(row, "a.b")),
    [3, 2, 1, undefined],
  );
  assert.deepEqual(["machines", "client_classes", "leases"].map(kindOf), [
    "machine",
    "client_class",
    "lease",
  ]);
});

test("only rows in view are drawn, and a row can be brought into view", () => {
  assert.deepEqual(rowWindow(0, 340, 34, 10_000), { first: 0, end: 18 });
  assert.deepEqual(rowWindow(34_000, 340, 34, 10_000), { first: 992, end: 1018 });
  assert.deepEqual(rowWindow(34_000, 340, 34, 3), { first: 3, end: 3 });
  assert.deepEqual(
    [scrollToRow(5, 0, 340, 34), scrollToRow(20, 0, 340, 34), scrollToRow(0, 99, 340, 34)],
    [0, 374, 0],
  );
});

test("a range is selected from where it began", () => {
  const keys = ["a", "b", "c", "d"];
  const one = select(keys, { keys: new Set(), anchor: 0 }, 1, "one");
  assert.deepEqual([...select(keys, one, 3, "range").keys], ["b", "c", "d"]);
  assert.deepEqual([...select(keys, one, 1, "toggle").keys], []);
});

test("an object's text knows which field a line is about", () => {
  const yaml = ["name: web1", "status:", "  state: ", "locked: false"];
  assert.equal(fieldAt(yaml, 3), "status.state");
  assert.deepEqual(hoverField(yaml.join("\n"), 3, FIELDS)?.slice(0, 2), [
    "status.state (word)",
    "What it does.",
  ]);
  const text = "name: web1\nlocked: t";
  const answer = completeField(
    { text, offset: text.length, line: "locked: t", before: "locked: t", explicit: false },
    FIELDS,
    "yaml",
  );
  assert.deepEqual(
    answer?.items.map(({ label }) => label),
    ["true", "false"],
  );
});
