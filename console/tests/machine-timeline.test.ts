// A timeline as attempts, marks, gaps, milestones and sentences: the parts of the drawing that are pure.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bandsOf, lastGoodAttempt, newestAttempts } from "../src/screens/machine/timeline/attempts";
import { compareAttempts } from "../src/screens/machine/timeline/compare";
import { diagnose } from "../src/screens/machine/timeline/diagnosis";
import type { TimelineEvent } from "../src/screens/machine/timeline/events";
import { mergeEvents } from "../src/screens/machine/timeline/events";
import { expectedOf } from "../src/screens/machine/timeline/expected";
import { marksOf } from "../src/screens/machine/timeline/marks";
import { milestonesOf } from "../src/screens/machine/timeline/milestones";
import { packRows, scaleOf } from "../src/screens/machine/timeline/scale";
import { isSlow, usualOf, usualOfRuns } from "../src/screens/machine/timeline/usual";
import { bytesText, spanText } from "../src/screens/machine/timeline/words";

let seq = 0;
function event(
  at: number,
  kind: string,
  data: Record<string, unknown> = {},
  attempt: string | null = "a",
): TimelineEvent {
  seq += 1;
  return { seq, at, kind, attempt, actor: "server", subject: "machine:1", data };
}

function installed(attempt: string, from: number): TimelineEvent[] {
  return [
    event(from, "boot.attempt_started", { number: 1, bootenv: "debian" }, attempt),
    event(from, "boot.decided", { verdict: "netboot", bootenv: "debian" }, attempt),
    event(from + 20, "dhcp.offered", { address: "10.0.0.5", boot_file: "snponly.efi", arch: 7 }, attempt),
    event(from + 40, "dhcp.leased", { address: "10.0.0.5", boot_file: "snponly.efi", arch: 7 }, attempt),
    event(
      from + 500,
      "boot.file_served",
      { label: "loader:snponly.efi", path: "snponly.efi", bytes: 173792, complete: true, duration_ms: 300 },
      attempt,
    ),
    event(from + 900, "boot.script_fetched", {}, attempt),
    event(from + 1_000, "boot.kernel_fetched", { bootenv: "debian" }, attempt),
    event(from + 41_000, "boot.answer_fetched", {}, attempt),
    event(from + 300_000, "boot.done", {}, attempt),
    event(from + 300_000, "boot.attempt_ended", { number: 1, result: "done" }, attempt),
  ];
}

function only(events: TimelineEvent[]) {
  const band = bandsOf(events)[0];
  assert.ok(band);
  return band;
}

test("a firmware that never asked for its loader after the offer is said to be so", () => {
  const band = only([
    event(0, "boot.attempt_started", { number: 3, bootenv: "debian" }),
    event(20, "dhcp.offered", { address: "10.0.0.5", boot_file: "snponly.efi" }),
    event(40, "dhcp.leased", { address: "10.0.0.5", boot_file: "snponly.efi" }),
    event(900_000, "boot.attempt_ended", { number: 3, result: "timed_out" }),
  ]);
  const found = diagnose(band, 2_000_000);
  assert.equal(
    found.headline,
    "The machine never asked for snponly.efi over TFTP after it took the offer.",
  );
  assert.match(found.why, /10\.0\.0\.5; nothing came for 15 min/);
  assert.match(found.todo, /UDP 69/);
  assert.equal(found.tone, "bad");
});

test("an offer that nobody took points at another DHCP server", () => {
  const band = only([event(0, "boot.attempt_started"), event(20, "dhcp.offered", { address: "10.0.0.5" })]);
  assert.match(diagnose(band, 600_000).headline, /never took the address 10\.0\.0\.5/);
});

test("what the installer asks comes before the silence after it", () => {
  const events = installed("a", 0).filter((one) => !["boot.done", "boot.attempt_ended"].includes(one.kind));
  const band = only([...events, event(60_000, "boot.installer_asks", { question: "Bad archive mirror" })]);
  assert.match(diagnose(band, 900_000).headline, /asks at its console: Bad archive mirror/);
});

test("a job that failed is the diagnosis though the installation was done", () => {
  const band = only([
    ...installed("a", 0),
    event(310_000, "job.failed", { job: "j", task: "burn-in", exit: 3 }),
  ]);
  assert.equal(diagnose(band, 400_000).headline, "Task burn-in failed with exit code 3.");
});

test("a job that was tried again and ended well is no failure", () => {
  const band = only([
    ...installed("a", 0),
    event(310_000, "job.failed", { job: "j", task: "burn-in", exit: 3 }),
    event(320_000, "job.finished", { job: "k", task: "burn-in", exit: 0 }),
  ]);
  assert.equal(diagnose(band, 400_000).tone, "ok");
});

test("a transfer that broke off names how much was sent", () => {
  const band = only([
    event(0, "boot.attempt_started"),
    event(40, "dhcp.leased", { address: "10.0.0.5", boot_file: "x.efi" }),
    event(90, "boot.file_served", {
      path: "x.efi",
      label: "loader:x.efi",
      bytes: 2048,
      size: 4096,
      complete: false,
    }),
  ]);
  assert.match(diagnose(band, 900_000).why, /2 KiB of 4 KiB/);
});

test("a boot that is heard of now is under way and has no fault", () => {
  const band = only(installed("a", 0).slice(0, 5));
  assert.equal(diagnose(band, 2_000).tone, "info");
});

test("milestones show where an attempt stopped", () => {
  const band = only([
    ...installed("a", 0).slice(0, 5),
    event(900_000, "boot.attempt_ended", { result: "timed_out" }),
  ]);
  const states = milestonesOf(band).map((one) => `${one.name} ${one.state}`);
  assert.deepEqual(states, [
    "address passed",
    "loader passed",
    "script stopped",
    "kernel open",
    "answers open",
    "done open",
  ]);
});

test("a boot of the local disk needs no kernel from the server", () => {
  const band = only([
    event(0, "boot.attempt_started"),
    event(0, "boot.decided", { verdict: "local_disk" }),
  ]);
  assert.ok(milestonesOf(band).every((one) => one.state === "unneeded"));
});

test("events without an attempt belong to the attempt that they follow", () => {
  const bands = bandsOf([
    event(0, "run.started", {}, null),
    ...installed("a", 10_000),
    event(400_000, "run.completed", {}, null),
    ...installed("b", 500_000),
  ]);
  assert.deepEqual(
    bands.map((band) => band.attempt),
    [null, "a", "b"],
  );
  assert.equal(bands[1]?.events.at(-1)?.kind, "run.completed");
  assert.deepEqual(
    newestAttempts(bands).map((band) => band.attempt),
    ["b", "a"],
  );
});

test("the last good attempt has the same bootenv and is not the attempt itself", () => {
  const bands = bandsOf([...installed("a", 0), ...installed("b", 500_000)]);
  const [, second] = bands;
  assert.ok(second);
  assert.equal(lastGoodAttempt(bands, second)?.attempt, "a");
});

test("events come in the order of time though their numbers do not", () => {
  const late = event(20, "boot.log");
  const early = event(10, "boot.log");
  assert.deepEqual(
    mergeEvents([late], [early, late]).map((one) => one.at),
    [10, 20],
  );
});

test("a file is a bar that begins before its event by its duration", () => {
  const [mark] = marksOf([
    event(1_000, "boot.file_served", { path: "/m/…/linux", duration_ms: 400, bytes: 10 }),
  ]);
  assert.deepEqual([mark?.start, mark?.end, mark?.label, mark?.lane], [600, 1_000, "linux", "files"]);
});

test("the events of one job are one bar with the tone of its end", () => {
  const marks = marksOf([
    event(0, "job.created", { job: "j", task: "t" }),
    event(10, "job.started", { job: "j", task: "t" }),
    event(5_000, "job.failed", { job: "j", task: "t", exit: 1 }),
  ]);
  assert.deepEqual(
    marks.map((mark) => [mark.start, mark.end, mark.tone]),
    [[0, 5_000, "bad"]],
  );
});

test("a long silence is a gap of a fixed width that names what was last heard", () => {
  const band = only(installed("a", 0));
  const scale = scaleOf(band.marks, 900);
  const gaps = scale.segments.filter((segment) => segment.kind === "gap");
  assert.deepEqual(
    gaps.map((gap) => [gap.label, gap.width]),
    [
      ["40 s", 96],
      ["4 min 19 s", 96],
    ],
  );
  assert.equal(gaps[0]?.after, "kernel fetched");
  assert.ok(scale.x(500) < scale.x(1_000) && scale.x(1_000) < scale.x(41_000));
});

test("the axis goes on to the present after the last event", () => {
  const band = only(installed("a", 0).slice(0, 4));
  const open = scaleOf(band.marks, 600, 60_000).segments.at(-1);
  assert.deepEqual([open?.kind, open?.label], ["gap", "1 min"]);
  assert.equal(scaleOf(band.marks, 600, 100).segments.length, 1);
});

test("bars that overlap stand in rows of their own", () => {
  assert.deepEqual(
    packRows(
      [
        { x: 0, width: 10 },
        { x: 5, width: 10 },
        { x: 12, width: 5 },
        { x: 13, width: 2 },
      ],
      2,
    ),
    [0, 1, 0, 1],
  );
});

test("the comparison with a good attempt marks what differs and not the address", () => {
  const good = only(installed("good", 0));
  const bad = only([
    event(0, "boot.attempt_started", { bootenv: "debian" }),
    event(40, "dhcp.leased", { address: "10.0.0.9", boot_file: "undionly.kpxe", arch: 0 }),
  ]);
  const differing = compareAttempts(bad, good)
    .filter((row) => row.differs)
    .map((row) => row.what);
  assert.ok(differing.includes("Loader") && differing.includes("Kernel"));
  assert.ok(differing.includes("Architecture (option 93)") && differing.includes("loader:snponly.efi"));
  assert.ok(!differing.includes("Address"));
});

test("what is usual is the median and the time of nine of ten", () => {
  assert.deepEqual(usualOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 100]), { count: 10, median: 5, most: 9 });
  assert.equal(usualOf([]), null);
});

test("usual times come from steps that are done and attempts that ended well", () => {
  const time = (seconds: number) => new Date(seconds * 1_000).toISOString();
  const run = {
    id: "r",
    started_at: time(0),
    ended_at: time(100),
    steps: [
      {
        kind: "bootenv" as const,
        stage: "s",
        name: "debian",
        digest: "",
        state: "done" as const,
        started_at: time(0),
        ended_at: time(60),
      },
      {
        kind: "task" as const,
        stage: "s",
        name: "t",
        digest: "",
        state: "failed" as const,
        started_at: time(60),
        ended_at: time(61),
      },
    ],
    attempts: [
      {
        id: "a",
        number: 1,
        started_at: time(10),
        kernel_fetched_at: time(14),
        ended_at: time(60),
        bootenv: "debian",
        result: "done" as const,
      },
      {
        id: "b",
        number: 2,
        started_at: time(60),
        ended_at: time(70),
        bootenv: "debian",
        result: "timed_out" as const,
      },
    ],
  };
  const usual = usualOfRuns([run]);
  assert.equal(usual.toKernel.get("debian")?.median, 4_000);
  assert.equal(usual.steps.get("bootenv s debian")?.median, 60_000);
  assert.equal(usual.steps.has("task s t"), false);
  assert.equal(usual.total?.median, 100_000);
});

test("the expected event has its usual time and is late after it", () => {
  const usual = usualOfRuns([]);
  usual.toKernel.set("debian", { count: 3, median: 4_000, most: 6_000 });
  const waiting = {
    expected: "boot.kernel_fetched",
    reason: "the machine is on",
    since: "2026-01-01T00:00:00Z",
    expected_by: "2026-01-01T00:07:30Z",
    overdue_at: "2026-01-01T00:15:00Z",
  };
  const status = { state: "waiting" as const, bootenv: "debian", waiting };
  const found = expectedOf(status, usual, Date.parse("2026-01-01T00:10:00Z"));
  assert.equal(found?.usually, "usually 4 s, at most 6 s in nine of ten (3 runs)");
  assert.equal(found?.overdue, true);
  assert.equal(expectedOf({ state: "complete" }, usual, 0), null);
});

test("a step is slow only where it is much and noticeably slower than usual", () => {
  const usual = { count: 5, median: 10_000, most: 20_000 };
  assert.equal(isSlow(29_000, usual), false);
  assert.equal(isSlow(60_000, usual), true);
  assert.equal(isSlow(1_000, { count: 5, median: 10, most: 20 }), false);
  assert.equal(isSlow(60_000, null), false);
});

test("lengths of time and sizes are short words", () => {
  const lengths = [0, 40, 1_500, 59_000, 60_000, 61_000, 3_660_000, 90_000_000].map(spanText);
  assert.deepEqual(lengths, [
    "0 ms",
    "40 ms",
    "1.5 s",
    "59 s",
    "1 min",
    "1 min 1 s",
    "1 h 1 min",
    "1 d 1 h",
  ]);
  assert.deepEqual([12, 2048, 40_810_276].map(bytesText), ["12 B", "2 KiB", "39 MiB"]);
});

test("an installer that reports now and then has few gaps, the longest ones", () => {
  const events = Array.from({ length: 60 }, (_, index) =>
    event(index * 10_000 + (index > 30 ? 50_000 : 0), "boot.log"),
  );
  const band = only([event(0, "boot.attempt_started"), ...events]);
  const scale = scaleOf(band.marks, 1_000);
  const gaps = scale.segments.filter((segment) => segment.kind === "gap");
  assert.equal(gaps.length, 12);
  assert.ok(gaps.some((gap) => gap.label === "1 min"));
  assert.ok(scale.width < 1_800);
});

test("renewals of a month do not stretch a boot, and stay among the events", () => {
  const renewals = Array.from({ length: 1_440 }, (_, index) =>
    event(400_000 + index * 1_800_000, "dhcp.renewed", {}, null),
  );
  const band = only([...installed("a", 0), ...renewals]);
  assert.equal(band.marks.filter((mark) => mark.kind === "dhcp.renewed").length, 0);
  assert.equal(band.events.filter((one) => one.kind === "dhcp.renewed").length, 1_440);
});
