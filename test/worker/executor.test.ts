import assert from "node:assert/strict";
import test, { mock } from "node:test";
import { Around } from "../../src/client/middleware.ts";
import { defineTask } from "../../src/index.ts";
import { TaskRegistry } from "../../src/tasks/registry.ts";
import { Executor } from "../../src/worker/executor.ts";
import type { Ending } from "../../src/worker/finished.ts";
import type { ClaimedJob } from "../../src/worker/job.ts";
import { Turns } from "../../src/worker/turns.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";

/** Without a database: what is tried here is the order and number in which claimed jobs are begun and given back. */
function executor(concurrency: number, mayBegin = () => true) {
  const begun = new Tally<{ id: number; end: () => void }>();
  const finished = new Tally<Ending>();
  const task = defineTask("gated", {
    run: (_payload, ctx) => {
      const latch = new Latch();
      begun.add({ id: ctx.job.id, end: latch.open });
      return latch.opened;
    },
  });
  const made = new Executor({
    pool: undefined as never,
    schema: "rouse",
    log: new TestLog(),
    notes: undefined as never,
    around: new Around(),
    transactions: new Turns(1),
    patienceMs: () => 30_000,
    concurrency,
    claimsAhead: true,
    tasks: new TaskRegistry([task]),
    mayBegin,
    onFinished: (end) => finished.add(end),
    onRoom: () => {},
    callMs: () => 5,
  });
  return { begun, finished, executor: made };
}

function job(id: number, priority = 0): ClaimedJob {
  const epoch = "1970-01-01 00:00:00+00";
  const row = ["claimed", id, "lease", "gated", {}, null, "default", priority, 1, null, epoch, epoch, null, null, null];
  const claimedAt = performance.now();
  return {
    id,
    lease: "lease",
    task: "gated",
    payload: {},
    timeout: null,
    priority,
    claimedAt,
    startBy: undefined,
    row,
  };
}

test("B6: an urgent job overtakes those that were claimed ahead; equals keep their order", async () => {
  const { begun, executor: slots } = executor(1);
  slots.accept([job(1), job(2), job(3, -1)]);
  slots.accept([job(4, 50), job(5)]);
  for (let ended = 0; ended < 5; ended++) {
    await begun.reach(ended + 1);
    begun.all[ended]!.end();
  }
  await slots.emptied();
  assert.deepEqual(
    begun.all.map(({ id }) => id),
    [1, 4, 2, 5, 3],
  );
});

test("fairness: what has waited for half a second goes back, and nothing is claimed ahead until handlers are quick again", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { begun, finished, executor: slots } = executor(1);
    // How many it takes depends on the machine: the first may be slow.
    for (let id = 1; slots.room() === 1; id++) {
      assert.ok(id <= 500, "quick handlers are claimed ahead for");
      slots.accept([job(id)]);
      begun.all.at(-1)!.end();
      await slots.emptied();
    }
    const old = (id: number) => ({ ...job(id), claimedAt: performance.now() - 600 });
    slots.accept([old(1_000), old(1_001), old(1_002)]);
    assert.equal(slots.held().length, 3);
    mock.timers.tick(10);
    const released = finished.all.filter(({ kind }) => kind === "released").map((end) => end.job.id);
    assert.deepEqual(released, [1_001, 1_002]);
    assert.equal(slots.room(), 0, "the one slot is taken, and none is claimed ahead");
    begun.all.at(-1)!.end();
    await slots.emptied();
    assert.equal(slots.room(), 1);
  } finally {
    mock.timers.reset();
  }
});

test("B5, B13: paused, it begins nothing; resumed, it fills its slots and no more", async () => {
  const { begun, executor: slots } = executor(2);
  slots.pause();
  slots.accept([job(1), job(2), job(3)]);
  assert.equal(begun.all.length, 0);
  assert.equal(slots.idle, false, "jobs are here");
  slots.resume();
  assert.equal(begun.all.length, 2);
  assert.equal(slots.running, 2);
  for (let ended = 0; ended < 3; ended++) {
    await begun.reach(ended + 1);
    begun.all[ended]!.end();
  }
  await slots.emptied();
  assert.equal(slots.running, 0);
  assert.equal(slots.idle, true);
});

test("B8: what is lost is neither run nor given back, and leaves as much room as there are slots", async () => {
  const { begun, finished, executor: slots } = executor(1);
  slots.accept([job(1), job(2), job(3)]);
  slots.lose("taken for dead");
  begun.all[0]!.end();
  await slots.emptied();
  assert.equal(begun.all.length, 1);
  assert.deepEqual(finished.all, []);
  assert.equal(slots.held().length, 0);
  slots.accept([job(4)]);
  assert.equal(begun.all.length, 2);
  begun.all[1]!.end();
});

test("B8: what a process holds when it wakes from a freeze goes back unbegun", async () => {
  let frozen = false;
  const { begun, finished, executor: slots } = executor(1, () => !frozen);
  slots.accept([job(1), job(2), job(3)]);
  frozen = true;
  begun.all[0]!.end();
  await slots.emptied();
  slots.accept([job(4)]);
  assert.deepEqual(
    begun.all.map(({ id }) => id),
    [1],
  );
  assert.deepEqual(
    finished.all.map(({ kind, job: { id } }) => [kind, id]),
    [
      ["completed", 1],
      ["released", 2],
      ["released", 3],
      ["released", 4],
    ],
  );
  assert.equal(slots.held().length, 0);
});

test("B19: a job claimed ahead that expires before it has a slot goes back unbegun", async () => {
  const { begun, finished, executor: slots } = executor(1);
  const now = performance.now();
  slots.accept([job(1), { ...job(2), startBy: now }, { ...job(3), startBy: now + 3_600_000 }, job(4)]);
  for (let ended = 0; ended < 3; ended++) {
    await begun.reach(ended + 1);
    begun.all[ended]!.end();
  }
  await slots.emptied();
  assert.deepEqual(
    begun.all.map(({ id }) => id),
    [1, 3, 4],
  );
  assert.deepEqual(
    finished.all.filter(({ kind }) => kind === "released").map((end) => end.job.id),
    [2],
  );
});
