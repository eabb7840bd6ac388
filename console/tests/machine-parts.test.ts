// Actions, params, origins of lines, hardware, layout and steps, as the screens of a machine and a run show
// them.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Machine, Run } from "../src/api/schema";
import { actionsOf, bodyOf, erasesAfter, NO_INPUT, withFrom } from "../src/screens/machine/actions";
import { blamedLines, paramText } from "../src/screens/machine/files/blame";
import { offeredFiles, plainName } from "../src/screens/machine/files/offered";
import { changesOfHardware, seenAtBoots } from "../src/screens/machine/hardware";
import { isSealed } from "../src/api/sealed";
import { paramLines, valueText } from "../src/screens/machine/params";
import type { TimelineEvent } from "../src/screens/machine/timeline/events";
import { bandsOf } from "../src/screens/machine/timeline/attempts";
import { barsInOrder, layoutBand, LETTER } from "../src/screens/machine/timeline/layout";
import { usualOfRuns } from "../src/screens/machine/timeline/usual";
import { exitText, longest, stepRows } from "../src/screens/run/steps";

function machine(status: Partial<Machine["status"]>, more: Partial<Machine> = {}): Machine {
  const fields = {
    id: "1",
    name: "web1",
    commit: 1,
    revision: 1,
    status_revision: 0,
    status_updated_at: null,
  };
  const times = { created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00Z" };
  return {
    ...fields,
    ...times,
    labels: {},
    problems: [],
    source: "site",
    status: { state: "registered", ...status },
    ...more,
  };
}

const openRun = { id: "r", workflow: "w", started_at: "2026-01-01T00:00:00Z" };
const possible = (one: Machine) =>
  actionsOf(one)
    .filter((action) => !action.refused)
    .map((action) => action.verb);

test("a machine without a run can be started and locked, and nothing else", () => {
  assert.deepEqual(possible(machine({})), ["start", "lock"]);
});

test("a failed step can be tried again, passed over, or its run cancelled, and no second run starts", () => {
  const verbs = possible(machine({ state: "failed", run: openRun }));
  for (const verb of ["retry", "skip", "mark_done", "cancel", "restart"] as const)
    assert.ok(verbs.includes(verb), verb);
  assert.ok(!verbs.includes("start"));
});

test("a locked machine is not started, retried or armed, and says why", () => {
  const locked = machine({ state: "failed", run: openRun, bootenv: "b" }, { locked: true });
  const refused = actionsOf(locked).filter((action) =>
    ["start", "retry", "arm", "restart"].includes(action.verb),
  );
  assert.ok(refused.every((action) => action.refused.includes("locked")));
});

test("what erases a disk stands apart from what goes on with work", () => {
  const danger = actionsOf(machine({}))
    .filter((action) => action.danger)
    .map((action) => action.verb);
  assert.deepEqual(danger.sort(), ["arm", "cancel", "restart", "retry", "start"]);
});

test("the body of an action has what was said, and steps by number or name", () => {
  const [start, pause] = ["start", "pause"].map((verb) =>
    actionsOf(machine({})).find((action) => action.verb === verb),
  );
  assert.ok(start && pause);
  assert.deepEqual(bodyOf(start, { ...NO_INPUT, workflow: " w ", reason: "" }), { workflow: "w" });
  assert.deepEqual(bodyOf(pause, { ...NO_INPUT, step: "4", reason: "fan" }), { before: 4, reason: "fan" });
  assert.deepEqual(bodyOf(pause, { ...NO_INPUT, step: "burn-in" }), { before: "burn-in" });
  assert.deepEqual(withFrom({ reason: "x" }, "6"), { reason: "x", from: 6 });
  assert.deepEqual(withFrom({}, " "), {});
});

test("only a machine that a check would arm erases a disk", () => {
  assert.equal(erasesAfter(machine({ erases: "the disk /dev/sda" })), "");
  const armed = machine({ armed_until: "2026-01-02T00:00:00Z", erases: "the disk /dev/sda" });
  assert.equal(erasesAfter(armed), "the disk /dev/sda");
});

test("params show what is set, what is hidden, and never a secret", () => {
  const params = {
    zone: {
      value: "B",
      level: "global",
      secret: false,
      levels: [
        { level: "global", value: "B" },
        { level: "defaults", value: "A" },
      ],
    },
    key: {
      value: { sealed: true },
      level: "machine",
      secret: true,
      levels: [{ level: "machine", value: { sealed: true } }],
    },
    plain: { value: 1, level: "defaults", secret: false },
  };
  assert.deepEqual(
    paramLines(params, "", "set").map((line) => line.name),
    ["key", "zone"],
  );
  assert.deepEqual(
    paramLines(params, "", "hiding").map((line) => line.name),
    ["zone"],
  );
  assert.deepEqual(
    paramLines(params, "ZON", "all").map((line) => line.name),
    ["zone"],
  );
  assert.equal(valueText({ sealed: true }), "(sealed)");
  assert.ok(isSealed({ sealed: true }) && !isSealed("sealed"));
});

test("each line of a file has its template, line, params and their levels", () => {
  const origins = [
    {
      template: "a.cfg",
      line: 3,
      params: [{ name: "zone", level: { profile: "base" }, hides: ["default" as const] }],
    },
    { template: "a.cfg", line: 4, override: "site-x" },
    { template: "b.cfg", line: 1, also: [{ template: "c.cfg", line: 9 }] },
  ];
  const lines = blamedLines("one\ntwo\nthree\n", origins, { "a.cfg": "pack core@1" });
  assert.deepEqual(
    lines.map((line) => line.place),
    ["a.cfg:3", "a.cfg:4", "b.cfg:1"],
  );
  assert.deepEqual(
    lines.map((line) => line.isFirst),
    [true, false, true],
  );
  assert.deepEqual(lines[0]?.notes, ["zone from profile base, hides the defaults"]);
  assert.deepEqual(lines[1]?.notes, ["override site-x"]);
  assert.deepEqual(lines[2]?.notes, ["also from c.cfg:9"]);
  assert.equal(paramText({ name: "x" }), "x from the template");
});

test("files are those that are offered, those of the bootenv, and those that are gone", () => {
  assert.equal(plainName("m/…/preseed.cfg"), "preseed.cfg");
  const files = offeredFiles(
    [{ path: "m/…/boot.ipxe", what: "script", allowed: false, reason: "no boot attempt is under way" }],
    ["preseed.cfg"],
    [
      { path: "boot.ipxe", change: "same" },
      { path: "old.cfg", change: "gone" },
    ],
  );
  assert.deepEqual(
    files.map((file) => [file.name, file.allowed, file.change?.change]),
    [
      ["boot.ipxe", false, "same"],
      ["preseed.cfg", null, undefined],
      ["old.cfg", null, "gone"],
    ],
  );
});

let seq = 0;
function event(
  at: number,
  kind: string,
  data: Record<string, unknown> = {},
  attempt: string | null = "a",
): TimelineEvent {
  seq += 1;
  return { seq, at, kind, attempt, actor: "token:admin", subject: "machine:1", data };
}

test("another firmware or interface at a boot is marked", () => {
  const boots = seenAtBoots([
    event(0, "dhcp.offered", { arch: 0, mac: "52:54:00:aa:00:01", vendor: "x" }, "a"),
    event(1, "dhcp.leased", { mac: "52:54:00:aa:00:01" }, "a"),
    event(9, "dhcp.offered", { arch: 7, mac: "52:54:00:aa:00:01", vendor: "x" }, "b"),
  ]);
  assert.deepEqual(
    boots.map((boot) => [boot.attempt, boot.arch, boot.changed]),
    [
      ["b", 7, ["arch"]],
      ["a", 0, []],
    ],
  );
});

test("changes of what identifies a machine are its history, and others are not", () => {
  const diff = [
    { op: "replace", path: "/macs/0", value: "52:54:00:aa:00:02" },
    { op: "add", path: "/params/x", value: 1 },
  ];
  const changes = changesOfHardware([
    event(0, "machine.updated", { diff }, null),
    event(1, "machine.updated", { diff: [{ op: "add", path: "/params/y", value: 1 }] }, null),
    event(2, "machine.address_changed", { address: "10.0.0.5", was: "10.0.0.4" }, null),
  ]);
  assert.deepEqual(
    changes.map((change) => change.text),
    ["address 10.0.0.5, was 10.0.0.4", 'macs/0 is now "52:54:00:aa:00:02"'],
  );
});

test("no words of the drawing stand on another bar of their row", () => {
  const events = Array.from({ length: 40 }, (_, index) =>
    event(index * 7, "boot.file_served", {
      path: `a-long-file-name-${index}.cfg`,
      bytes: 4096,
      duration_ms: 5,
    }),
  );
  const band = bandsOf(events)[0];
  assert.ok(band);
  const layout = layoutBand(band, { width: 800, zoom: 1, hasNext: false });
  const bars = barsInOrder(layout);
  assert.equal(bars.length, 40);
  assert.ok(bars.filter((one) => one.text).length > 5);
  const spanOf = (bar: (typeof bars)[number]): [number, number] => {
    const words = bar.side === "inside" ? 0 : bar.text.length * LETTER;
    return bar.side === "before" ? [bar.x - words, bar.x + bar.width] : [bar.x, bar.x + bar.width + words];
  };
  for (const bar of bars.filter((one) => one.text)) {
    const [from, to] = spanOf(bar);
    const covered = bars.some(
      (other) => other !== bar && other.y === bar.y && other.x > from && other.x < to && other.x !== bar.x,
    );
    assert.ok(!covered, bar.text);
  }
});

test("lanes for DHCP and files are drawn though nothing came", () => {
  const band = bandsOf([event(0, "boot.attempt_started", { number: 1 })])[0];
  assert.ok(band);
  const lanes = layoutBand(band, { width: 800, zoom: 1, hasNext: true }).lanes.map((lane) => lane.lane);
  assert.deepEqual(lanes, ["dhcp", "files", "callbacks"]);
});

test("a step under way has taken as long as until now, and is slow by the usual time", () => {
  const usual = usualOfRuns([]);
  usual.steps.set("task s t", { count: 4, median: 1_000, most: 2_000 });
  const run = {
    steps: [
      {
        kind: "task",
        stage: "s",
        name: "t",
        digest: "",
        state: "running",
        started_at: "2026-01-01T00:00:00Z",
      },
    ],
    jobs: [{ id: "j", step: 0, task: "t", attempt: 1, state: "running", digest: "" }],
  } as unknown as Run;
  const rows = stepRows(run, usual, Date.parse("2026-01-01T00:01:00Z"));
  assert.deepEqual(
    rows.map((row) => [row.spent, row.slow, row.jobs.length]),
    [[60_000, true, 1]],
  );
  assert.equal(longest(rows), 60_000);
});

test("exit codes say what the script asked for", () => {
  assert.equal(exitText(64), "exit 64: ended well, and asked to reboot");
  assert.equal(exitText(127), "exit 127: a command was not found");
  assert.equal(exitText(3), "exit 3: failed");
  assert.equal(exitText(null), "");
});
