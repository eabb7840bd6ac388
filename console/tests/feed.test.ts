// The feed loses nothing and doubles nothing, however the connection breaks: the followers and the rows of a
// list against a server of this file that is told what to forget.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ChangeFollower,
  EventFollower,
  joinBatches,
  PENDING_MAX,
  retryDelay,
  type Change,
  type ChangeBatch,
} from "../src/live/follow";
import { LiveRows } from "../src/live/merge";
import { SseParser, type SseMessage } from "../src/live/sse";

const EPOCH = "0198f1c2-0000-7000-8000-000000000001";

const change = (commit: number, key: string, what: Change["what"] = "written"): SseMessage => ({
  event: "message",
  id: undefined,
  data: JSON.stringify({ commit, kind: "machine", key, revision: 1, what }),
});
const position = (commit: number, epoch = EPOCH): SseMessage => ({
  event: "position",
  id: `${commit}@${epoch}`,
  data: JSON.stringify({ commit, epoch }),
});

function batchesOf(follower: ChangeFollower, messages: readonly SseMessage[]): ChangeBatch[] {
  return messages.flatMap((message) => {
    const output = follower.take(message);
    return output?.type === "changes" ? [output.batch] : [];
  });
}

test("messages are read whole from pieces that end anywhere", () => {
  const text = ': keep\n\nevent: position\nid: 7@e\ndata: {"commit":7}\n\ndata: a\r\ndata: b\r\n\r\n';
  for (let size = 1; size < text.length; size += 1) {
    const parser = new SseParser();
    const messages: SseMessage[] = [];
    for (let at = 0; at < text.length; at += size) messages.push(...parser.push(text.slice(at, at + size)));
    assert.deepEqual(
      messages,
      [
        { event: "position", data: '{"commit":7}', id: "7@e" },
        { event: "message", data: "a\nb", id: undefined },
      ],
      `pieces of ${size}`,
    );
  }
});

test("changes are handed on when their position is known", () => {
  const follower = new ChangeFollower();
  assert.deepEqual(batchesOf(follower, [position(4), change(5, "a"), change(5, "b")]), []);
  assert.deepEqual(
    batchesOf(follower, [position(5)]).map(({ from, to, changes }) => [from, to, changes.length]),
    [[4, 5, 2]],
  );
  assert.equal(follower.resumeId, `5@${EPOCH}`);
});

test("what a broken connection left without a position comes once, after it", () => {
  const follower = new ChangeFollower();
  batchesOf(follower, [position(4), change(5, "a")]);
  follower.connecting();
  assert.equal(follower.resumeId, `4@${EPOCH}`);
  const batches = batchesOf(follower, [position(4), change(5, "a"), position(5)]);
  assert.deepEqual(
    batches.map(({ from, to, changes }) => [from, to, changes.map(({ key }) => key)]),
    [[4, 5, ["a"]]],
  );
});

test("a server that forgot where we were makes everything read again, once", () => {
  const follower = new ChangeFollower();
  batchesOf(follower, [position(4)]);
  follower.forget();
  assert.equal(follower.resumeId, undefined);
  assert.deepEqual(follower.take(position(9)), { type: "reset", position: { commit: 9, epoch: EPOCH } });
  assert.equal(follower.take(position(10))?.type, "changes");
});

test("a restored database makes everything read again", () => {
  const follower = new ChangeFollower();
  batchesOf(follower, [position(40)]);
  assert.equal(follower.take(position(30, "0198f1c2-0000-7000-8000-000000000002"))?.type, "reset");
});

test("more changes than are kept make everything read again", () => {
  const follower = new ChangeFollower();
  batchesOf(follower, [position(1)]);
  for (let index = 0; index <= PENDING_MAX; index += 1) follower.take(change(2, `m${index}`));
  assert.equal(follower.take(position(2))?.type, "reset");
});

test("batches are joined only if nothing lies between them", () => {
  const one: ChangeBatch = { from: 1, to: 3, epoch: EPOCH, changes: [] };
  assert.equal(joinBatches(one, { ...one, from: 3, to: 5 })?.to, 5);
  assert.equal(joinBatches(one, { ...one, from: 4, to: 5 }), undefined);
});

test("an event that comes again after a reconnect is told once", () => {
  const follower = new EventFollower();
  const event = (seq: number): SseMessage => ({
    event: "message",
    id: String(seq),
    data: JSON.stringify({ seq }),
  });
  const told = [event(1), event(2), event(2), event(1), event(3)].map(
    (message) => follower.take(message)?.seq,
  );
  assert.deepEqual(told, [1, 2, undefined, undefined, 3]);
  assert.equal(follower.resumeId, "3");
});

test("tries become rarer up to ten seconds", () => {
  assert.deepEqual(
    [0, 1, 4, 20].map((tries) => retryDelay(tries, 1)),
    [500, 1000, 8000, 10_000],
  );
  assert.equal(retryDelay(0, 0), 250);
});

interface Stored {
  id: string;
  commit: number;
  passes: boolean;
}

/** A server with objects, their last changes, and the answers that the console asks for. */
class ServerModel {
  readonly objects = new Map<string, Stored>();
  private readonly last = new Map<string, Change>();
  commit = 1;

  write(id: string, passes: boolean): void {
    this.commit += 1;
    this.objects.set(id, { id, commit: this.commit, passes });
    this.last.set(id, { commit: this.commit, kind: "machine", key: id, revision: 1, what: "written" });
  }

  erase(id: string): void {
    if (!this.objects.delete(id)) return;
    this.commit += 1;
    this.last.set(id, { commit: this.commit, kind: "machine", key: id, revision: 1, what: "deleted" });
  }

  list(after = 0): Stored[] {
    return [...this.objects.values()].filter((one) => one.passes && one.commit > after);
  }

  batch(from: number): ChangeBatch {
    const changes = [...this.last.values()]
      .filter((one) => one.commit > from)
      .sort((a, b) => a.commit - b.commit);
    return { from, to: this.commit, epoch: EPOCH, changes };
  }
}

/** A generator of numbers below one that is the same each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

function loadedRows(server: ServerModel): LiveRows<Stored> {
  const rows = new LiveRows<Stored>((row) => row.id);
  rows.load(new Map(server.list().map((row) => [row.id, row])), server.commit, EPOCH);
  return rows;
}

/**
 * Does what live/collection.ts does until nothing is missing; `between` happens while an answer is under
 * way.
 */
function settle(rows: LiveRows<Stored>, server: ServerModel, between: () => void): void {
  for (let turn = 0; turn < 20 && (rows.gap || rows.unread); turn += 1) {
    if (rows.gap) {
      const { changes, to } = server.batch(rows.gap.after);
      between();
      rows.fillGap(changes, to, "machine");
    }
    if (rows.unread) {
      const items = server.list(rows.unread.after);
      const { commit } = server;
      between();
      rows.takeChanged(items, commit);
    }
  }
}

test("a list has exactly what passes after any order of writes, lost batches and late answers", () => {
  for (let seed = 1; seed <= 2000; seed += 1) {
    const random = numbers(seed);
    const server = new ServerModel();
    const act = () => {
      const id = `m${Math.floor(random() * 12)}`;
      if (random() < 0.25) server.erase(id);
      else server.write(id, random() < 0.7);
    };
    for (let index = 0; index < 10; index += 1) act();
    const rows = loadedRows(server);
    let told = server.commit;
    const tell = () => {
      const batch = server.batch(told);
      told = server.commit;
      if (random() < 0.7) rows.hear(batch, "machine");
    };
    for (let index = 0; index < 60; index += 1) {
      act();
      if (random() < 0.5) tell();
      if (random() < 0.3)
        settle(rows, server, () => {
          if (random() < 0.4) act();
          if (random() < 0.4) tell();
        });
      if (!rows.unread && random() < 0.3) rows.settle();
    }
    rows.hear({ from: server.commit, to: server.commit, epoch: EPOCH, changes: [] }, "machine");
    settle(rows, server, () => undefined);
    const shown = [...rows.rows.values()].map((row) => `${row.id}@${row.commit}`).sort();
    assert.deepEqual(
      shown,
      server
        .list()
        .map((row) => `${row.id}@${row.commit}`)
        .sort(),
      `seed ${seed}`,
    );
  }
});

test("a deletion that is told after a newer answer was read still takes the row away", () => {
  const server = new ServerModel();
  server.write("a", true);
  server.write("b", true);
  const rows = loadedRows(server);
  const at = server.commit;
  server.write("b", true);
  rows.hear(server.batch(at), "machine");
  const next = server.commit;
  server.erase("a");
  rows.takeChanged(server.list(at), server.commit);
  rows.hear(server.batch(next), "machine");
  assert.deepEqual([...rows.rows.keys()], ["b"]);
});

test("a list of another state of the database is read again", () => {
  const rows = loadedRows(new ServerModel());
  assert.equal(rows.hear({ from: 0, to: 9, epoch: "other", changes: [] }, "machine"), "reload");
});
