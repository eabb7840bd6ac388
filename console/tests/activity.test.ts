// Tests of the activity screen: what is shown, what is wanted, how events are told and exported.

import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, diffLines, toneOfKind } from "../src/screens/activity/describe";
import { csvOf } from "../src/screens/activity/csv";
import { csvCell } from "../src/ui/csv";
import { apiQuery, effectiveTerms, passesTerms, termsOf } from "../src/screens/activity/filter";
import { EventLog, HELD_MAX, isGap, ROWS_MAX } from "../src/screens/activity/log";

const event = (seq: number, more: object = {}) => ({
  seq,
  time: "2026-11-30T20:00:00Z",
  kind: "run.failed",
  subject: "machine:a",
  actor: "server",
  data: {},
  ...more,
});
const events = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => event(from + index));

test("events that arrive stand above those of history, newest first", () => {
  const log = new EventLog();
  log.addOlder([event(3), event(2), event(1)]);
  log.arrive([event(4), event(5)], 0);
  assert.deepEqual(
    log.rows.value.map((row) => (isGap(row) ? "gap" : row.seq)),
    [5, 4, 3, 2, 1],
  );
});

test("an event that is in the page of history as well is shown once", () => {
  const log = new EventLog();
  log.arrive([event(5)], 0);
  log.addOlder([event(5), event(4)]);
  log.arrive([event(5)], 0);
  assert.equal(log.rows.value.length, 2);
});

test("events that the feed left out are a gap that says how many, and can be filled", () => {
  const log = new EventLog();
  log.addOlder([event(10)]);
  log.arrive([event(500)], 480);
  const gap = log.rows.value[1];
  assert.ok(gap && isGap(gap));
  assert.deepEqual([gap.after, gap.before, gap.count, log.skipped.value], [10, 500, 480, 480]);
  log.fill(gap, [event(499), event(11)], undefined);
  assert.deepEqual(
    log.rows.value.map((row) => (isGap(row) ? "gap" : row.seq)),
    [500, 499, 11, 10],
  );
});

test("a paused list counts what arrives, and shows it when it goes on", () => {
  const log = new EventLog();
  log.pause();
  log.arrive(events(1, HELD_MAX + 7), 0);
  assert.deepEqual([log.rows.value.length, log.waiting.value], [0, HELD_MAX + 7]);
  log.resume();
  assert.deepEqual(
    [log.rows.value.filter((row) => !isGap(row)).length, log.skipped.value, log.waiting.value],
    [HELD_MAX, 7, 0],
  );
});

test("a list is bounded, and says what it dropped", () => {
  const log = new EventLog();
  for (let at = 1; at <= ROWS_MAX; at += 1000) log.arrive(events(at, 1000), 0);
  log.arrive(events(ROWS_MAX + 1, 5), 0);
  assert.deepEqual([log.rows.value.length, log.dropped.value], [ROWS_MAX, 5]);
});

test("the audit is what was done with any token", () => {
  const terms = termsOf(new URLSearchParams("kind=machine.*&tab=audit&event=7"));
  assert.deepEqual(apiQuery(effectiveTerms("audit", terms)), { kind: "machine.*", actor: "token:*" });
  assert.deepEqual(apiQuery({ subject: "machine:a", machine: "web1" }), { subject: "machine:a" });
});

test("an event that arrives is held against the terms as the server would", () => {
  const done = event(1, { kind: "machine.updated", actor: "token:ci", request_id: "r1" });
  assert.ok(passesTerms({ kind: "machine.*", by: "ci", request_id: "r1" }, "machine:a", done));
  assert.ok(passesTerms({ by: "*" }, undefined, done));
  assert.ok(!passesTerms({ by: "*" }, undefined, event(2)));
  assert.ok(!passesTerms({ by: "admin" }, undefined, done));
  assert.ok(!passesTerms({}, "machine:b", done));
});

test("a change is told by its paths, and shown as lines", () => {
  const diff = [
    { op: "replace", path: "/workflow", value: "install" },
    { op: "remove", path: "/labels/rack" },
  ];
  const updated = event(1, {
    kind: "machine.updated",
    data: { name: "web1", diff, secrets: ["password"] },
  });
  assert.equal(describe(updated), "/workflow, /labels/rack, password");
  assert.deepEqual(diffLines(diff), [
    "@@ /workflow",
    "-(the value before)",
    '+"install"',
    "@@ /labels/rack",
    "-(removed)",
  ]);
  assert.equal(describe(event(2, { data: { workflow: "w", reason: "no disk" } })), "workflow w, no disk");
});

test("failures and warnings have tones of their own", () => {
  assert.deepEqual(["run.failed", "run.overdue", "run.completed", "machine.updated"].map(toneOfKind), [
    "bad",
    "warn",
    "ok",
    "idle",
  ]);
});

test("a cell of an export is no formula", () => {
  assert.equal(csvCell('=HYPERLINK("x")'), `"'=HYPERLINK(""x"")"`);
  assert.equal(csvCell("a,b"), '"a,b"');
  assert.match(
    csvOf([event(7)]),
    /^seq,time,.*\r\n7,2026-11-30T20:00:00Z,run.failed,machine:a,server,,,,\{\}\r\n$/,
  );
});
