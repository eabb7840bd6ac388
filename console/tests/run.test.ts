// Congruence of runs, and failures that are alike.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ComparedRun } from "../src/screens/run/congruence";
import { congruenceOf, differences, differenceText } from "../src/screens/run/congruence";
import { groupFailures, lastLines, signatureOf } from "../src/screens/run/failures";

function run(machine: string, change: Partial<ComparedRun> = {}): ComparedRun {
  const step = (name: string, digest: string) => ({
    kind: "task" as const,
    stage: "s",
    name,
    digest,
    params: "p",
    state: "done" as const,
  });
  return {
    id: `run-${machine}`,
    machine,
    machine_name: machine,
    started_at: "2026-01-01T00:00:00Z",
    steps: [step("one", "d1"), step("two", "d2")],
    artifacts: [{ name: "debian", sha256: "a" }],
    ...change,
  };
}

test("runs with the same digests in the same order are congruent", () => {
  assert.deepEqual(differences(run("web1"), run("web2")), []);
});

test("other content, other params and another artifact are told apart", () => {
  const steps = run("web2").steps?.map((step) =>
    step.name === "two" ? { ...step, digest: "x", params: "q" } : step,
  );
  const found = differences(
    run("web1"),
    run("web2", { steps, artifacts: [{ name: "debian", sha256: "b" }] }),
  );
  assert.deepEqual(found.map(differenceText), [
    "ran other content: s/two",
    "has other values of params: s/two",
    "has other files of an artifact: debian",
  ]);
});

test("another order of steps is a difference of its own", () => {
  const steps = [...(run("web2").steps ?? [])].reverse();
  assert.deepEqual(
    differences(run("web1"), run("web2", { steps })).map((one) => [one.kind, one.where]),
    [["steps", "s/one"]],
  );
});

test("a step that was passed over in one run makes them differ", () => {
  const steps = run("web2").steps?.map((step) =>
    step.name === "one" ? { ...step, state: "skipped" as const } : step,
  );
  assert.deepEqual(
    differences(run("web1"), run("web2", { steps })).map((one) => one.kind),
    ["skipped"],
  );
});

test("of each other machine the newest run counts, and those that are alike stand together", () => {
  const old = run("web2", {
    started_at: "2025-01-01T00:00:00Z",
    artifacts: [{ name: "debian", sha256: "old" }],
  });
  const other = run("web3", { artifacts: [{ name: "debian", sha256: "b" }] });
  const groups = congruenceOf(run("web1"), [old, run("web2"), other, run("web4"), run("web1")]);
  assert.deepEqual(
    groups.map((group) => group.runs.map((one) => one.machine)),
    [["web2", "web4"], ["web3"]],
  );
});

test("the last lines have no colours and no overwritten progress", () => {
  const log = "begin\n\u001b[31m10 %\r100 %\u001b[0m\r\n\nFAIL: disk 3\n";
  assert.deepEqual(lastLines(log), ["begin", "100 %", "FAIL: disk 3"]);
});

test("what is a machine's own does not tell failures apart", () => {
  const one = signatureOf("web1: no route from 10.0.0.5 (52:54:00:aa:00:01) after 31 s\n", ["web1"]);
  const other = signatureOf("web22: no route from 10.0.7.9 (52:54:00:aa:00:77) after 4 s\n", ["web22"]);
  assert.equal(one, other);
  assert.notEqual(one, signatureOf("web1: no space left on device\n", ["web1"]));
});

test("failures with the same task, exit code and last lines are one group", () => {
  const job = (id: string, log: string, exit = 3) => ({
    id,
    machine: id,
    run: id,
    task: "burn",
    exit,
    log,
  });
  const groups = groupFailures(
    [
      job("web1", "web1: 2 errors\n"),
      job("web2", "web2: 7 errors\n"),
      job("web3", "web3: 2 errors\n", 4),
      job("web4", ""),
    ],
    (one) => [one.machine],
  );
  assert.deepEqual(
    groups.map((group) => group.jobs.map((one) => one.id)),
    [["web1", "web2"], ["web3"], ["web4"]],
  );
});
