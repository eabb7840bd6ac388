// Actions on many machines: what is sent, in which pieces, and how the answers are summed up.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  acceptableFaults,
  erasedThings,
  reasonOf,
  summarize,
  type BulkItem,
  type BulkReport,
} from "../src/screens/machines/bulk/report";
import { CHUNK_MAX, runBulk, type BulkCall, type BulkRunner } from "../src/screens/machines/bulk/run";
import { describeTarget } from "../src/screens/machines/bulk/target";
import {
  ACTIONS,
  actionOf,
  detailsOf,
  EMPTY_INPUT,
  inputFault,
  planBatches,
  type BulkAction,
} from "../src/screens/machines/bulk/verbs";

function action(id: string): BulkAction {
  const found = actionOf(id);
  assert.ok(found, id);
  return found;
}

const refused = (ref: string, message: string, code = "no_login"): BulkItem => ({
  ref,
  name: `web${ref}`,
  outcome: "refused",
  status: 409,
  code: "not_usable",
  detail: "the run cannot begin",
  problems: [{ pointer: "/x", message, code }],
});

test("each action sends the body that a call for one machine takes", () => {
  const start = {
    ...EMPTY_INPUT,
    workflow: "install",
    reason: " new rack ",
    before: "4",
    accept: ["no_login"],
  };
  assert.deepEqual(detailsOf(action("start"), start), {
    workflow: "install",
    reason: "new rack",
    stop_before: 4,
    accept: ["no_login"],
  });
  assert.deepEqual(detailsOf(action("pause"), { ...EMPTY_INPUT, before: "burn" }), { before: "burn" });
  assert.deepEqual(detailsOf(action("cancel"), start), {});
  assert.deepEqual(detailsOf(action("label"), { ...EMPTY_INPUT, name: "rack", value: "r1" }), {
    labels: { rack: "r1" },
  });
  assert.deepEqual(detailsOf(action("label"), { ...EMPTY_INPUT, name: "rack", isRemoved: true }), {
    labels: { rack: null },
  });
  assert.deepEqual(detailsOf(action("param"), { ...EMPTY_INPUT, name: "n", value: "3" }), {
    params: { n: 3 },
  });
  assert.deepEqual(detailsOf(action("param"), { ...EMPTY_INPUT, name: "n", value: "three" }), {
    params: { n: "three" },
  });
  assert.deepEqual(detailsOf(action("unlock"), EMPTY_INPUT), { locked: false });
});

test("a form without what it needs is not sent", () => {
  assert.match(inputFault(action("skip"), EMPTY_INPUT) ?? "", /reason/);
  assert.match(inputFault(action("start"), { ...EMPTY_INPUT, accept: ["no_login"] }) ?? "", /reason/);
  assert.match(inputFault(action("label"), EMPTY_INPUT) ?? "", /label/);
  assert.equal(inputFault(action("pause"), EMPTY_INPUT), undefined);
});

test("a profile is added to the list that each machine has, in groups of equal lists", () => {
  const machines = [
    { id: "1", name: "a", profiles: ["web"] },
    { id: "2", name: "b", profiles: ["web"] },
    { id: "3", name: "c", profiles: ["gpu", "db"] },
    { id: "4", name: "d" },
  ];
  const last = planBatches(action("profile"), { ...EMPTY_INPUT, profile: "gpu" }, machines);
  assert.deepEqual(last.batches, [
    { details: { profiles: ["web", "gpu"] }, refs: ["1", "2"] },
    { details: { profiles: ["gpu"] }, refs: ["4"] },
  ]);
  assert.equal(last.unchanged, 1);
  const removed = planBatches(
    action("profile"),
    { ...EMPTY_INPUT, profile: "web", profileMode: "remove" },
    machines,
  );
  assert.deepEqual(removed.batches, [{ details: { profiles: [] }, refs: ["1", "2"] }]);
});

test("refusals are grouped by their reason without the machine's own name", () => {
  const summary = summarize([
    refused("1", "machine `web1` is locked"),
    refused("2", "machine `web2` is locked"),
    refused("3", "no key", "bad_ssh_key"),
    { ref: "4", name: "db1", outcome: "done", erases: "the disk /dev/sda" },
    { ref: "5", name: "db2", outcome: "not_tried" },
  ]);
  assert.deepEqual(
    summary.refusals.map((group) => [group.reason, group.items.length]),
    [
      ["machine `…` is locked", 2],
      ["no key", 1],
    ],
  );
  assert.deepEqual(
    [summary.done.length, summary.refused, summary.notTried.length, summary.total],
    [1, 3, 1, 5],
  );
  assert.deepEqual(acceptableFaults(summary), [
    ["no_login", 2],
    ["bad_ssh_key", 1],
  ]);
  assert.deepEqual(erasedThings(summary), [["the disk /dev/sda", 1]]);
  assert.equal(
    reasonOf({ ref: "web1", name: "web1", outcome: "refused", detail: "web10 has it" }),
    "web10 has it",
  );
});

test("only what may lead to a boot asks for the number of erased machines", () => {
  const quiet = ACTIONS.filter((one) => !one.mayErase).map((one) => one.id);
  for (const id of ["pause", "cancel", "disarm", "label", "lock"]) assert.ok(quiet.includes(id), id);
  for (const id of ["start", "restart", "retry", "arm", "resume"]) assert.ok(!quiet.includes(id), id);
});

test("all that match are told from those that were chosen", () => {
  const chosen = describeTarget({ kind: "chosen", machines: [], outside: 0 }, 50);
  const matching = describeTarget({ kind: "matching", terms: [{ name: "label.rack", value: "r1" }] }, 4312);
  assert.equal(chosen, "these 50 machines");
  assert.equal(matching, "all 4,312 machines that match label.rack = r1");
  assert.equal(
    describeTarget({ kind: "matching", terms: [] }, 10000),
    "all 10,000 machines of this server",
  );
});

interface Played {
  calls: BulkCall[];
  progress: [number, number][];
  waits: number[];
  runner: BulkRunner;
}

function play(
  answer: (call: BulkCall, number: number) => BulkItem[] | Error,
  isStopped = (): boolean => false,
): Played {
  const played: Played = {
    calls: [],
    progress: [],
    waits: [],
    runner: {
      send: (call) => {
        played.calls.push(call);
        const items = answer(call, played.calls.length);
        if (items instanceof Error) return Promise.reject(items);
        const report: BulkReport = {
          dry_run: call.dry_run,
          total: items.length,
          done: 0,
          refused: 0,
          not_tried: 0,
          items,
        };
        return Promise.resolve(report);
      },
      isBusy: (error) => error instanceof Error && error.message === "busy",
      wait: (ms) => {
        played.waits.push(ms);
        return Promise.resolve();
      },
      onProgress: (done, total) => {
        played.progress.push([done, total]);
      },
      isStopped,
    },
  };
  return played;
}

const done = (call: BulkCall): BulkItem[] => call.refs.map((ref) => ({ ref, outcome: "done" }));
const refs = (count: number): string[] => Array.from({ length: count }, (_, at) => `m${at}`);
const order = (count: number) => ({
  action: action("pause"),
  batches: [{ details: {}, refs: refs(count) }],
  mode: "carry-out" as const,
  force: false,
});

test("10,000 machines are sent in pieces, each once, with progress", async () => {
  const played = play(done);
  const run = await runBulk(order(10_000), played.runner);
  assert.equal(played.calls.length, 10_000 / CHUNK_MAX);
  assert.ok(played.calls.every((call) => !call.dry_run && call.refs.length <= CHUNK_MAX));
  assert.equal(new Set(played.calls.flatMap((call) => call.refs)).size, 10_000);
  assert.equal(run.items.length, 10_000);
  assert.deepEqual(played.progress.at(-1), [10_000, 10_000]);
});

test("what a call had no time for is sent again, and only that", async () => {
  const played = play((call, number) =>
    call.refs.map((ref, at) => ({ ref, outcome: number === 1 && at > 1 ? "not_tried" : "done" })),
  );
  const run = await runBulk(order(5), played.runner);
  assert.deepEqual(
    played.calls.map((call) => call.refs),
    [
      ["m0", "m1", "m2", "m3", "m4"],
      ["m2", "m3", "m4"],
    ],
  );
  assert.ok(run.items.every((item) => item.outcome === "done"));
});

test("a server that never has time is not asked for ever", async () => {
  const played = play((call) => call.refs.map((ref) => ({ ref, outcome: "not_tried" })));
  const run = await runBulk(order(2), played.runner);
  assert.equal(played.calls.length, 5);
  assert.ok(run.items.every((item) => item.outcome === "not_tried"));
});

test("a busy server is asked again later, and another fault ends the action with what was done", async () => {
  const busy = play((call, number) => (number === 1 ? new Error("busy") : done(call)));
  assert.equal((await runBulk(order(1), busy.runner)).items.length, 1);
  assert.equal(busy.waits.length, 1);
  const broken = play((call, number) => (number === 2 ? new Error("broken") : done(call)));
  const run = await runBulk(order(CHUNK_MAX * 3), broken.runner);
  assert.equal(broken.calls.length, 2);
  assert.deepEqual([run.items.length, run.unsent], [CHUNK_MAX, CHUNK_MAX * 2]);
  assert.ok(run.error instanceof Error);
});

test("stopping sends no further call and says how many were not sent", async () => {
  let sent = 0;
  const played = play(
    (call) => {
      sent += 1;
      return done(call);
    },
    () => sent >= 1,
  );
  const run = await runBulk(order(CHUNK_MAX * 2), played.runner);
  assert.deepEqual([played.calls.length, run.unsent], [1, CHUNK_MAX]);
});
