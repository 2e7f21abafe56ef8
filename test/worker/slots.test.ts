import assert from "node:assert/strict";
import test from "node:test";
import { z } from "zod";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });

/** A task whose handlers each end when the test says so. */
function gated(name = "gated") {
  const begun = new Tally<{ id: number; end: () => void }>();
  const task = defineTask(name, {
    run: (_payload, ctx) => {
      const latch = new Latch();
      begun.add({ id: ctx.job.id, end: () => latch.open() });
      return latch.opened;
    },
  });
  return { begun, task };
}

test("B5: never more handlers than slots, and a freed slot is used at once", async () => {
  const { begun, task } = gated();
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker({ concurrency: 3 });
  const jobs = await rouse.enqueueMany(Array.from({ length: 30 }, () => ({ task })));
  await begun.reach(3);
  for (let ended = 0; ended < 30; ended++) {
    assert.ok(worker.running <= 3);
    assert.ok(begun.all.length <= ended + 3, "a handler began without a free slot");
    begun.all[ended]!.end();
    await begun.reach(Math.min(ended + 4, 30));
  }
  await worker.drained();
  for (const { id } of jobs) assert.equal((await archived(db, id))?.attempt, 1);
});

test("B5: never more handlers than slots where quick and slow handlers take turns", async () => {
  let running = 0;
  let most = 0;
  const task = defineTask("mixed", {
    payload: z.number(),
    run: async (ms) => {
      most = Math.max(most, ++running);
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
      running -= 1;
    },
  });
  const rouse = rouseWith([task]);
  await rouse.enqueueMany(Array.from({ length: 3_000 }, (_, index) => ({ task, payload: index % 40 === 0 ? 5 : 0 })));
  const worker = await rouse.startWorker({ concurrency: 4 });
  await worker.drained();
  assert.equal(most, 4);
  assert.deepEqual(await db.query("select from rouse.job"), []);
});

test("B6: a worker starts jobs by priority, then due time, then id", async () => {
  const order = new Tally<string>();
  const task = defineTask("ordered", { payload: z.string(), run: (name) => order.add(name) });
  const rouse = rouseWith([task]);
  const past = (minutes: number) => new Date(Date.now() - minutes * 60_000);
  await rouse.enqueueMany([
    { task, payload: "low", priority: -1, runAt: past(9) },
    { task, payload: "second", runAt: past(1) },
    { task, payload: "third", runAt: past(1) },
    { task, payload: "first", runAt: past(2) },
    { task, payload: "urgent", priority: 100 },
  ]);
  const worker = await rouse.startWorker({ concurrency: 1 });
  await worker.drained();
  const rows = await order.reach(5);
  assert.deepEqual([...rows.filter((name) => !["second", "third"].includes(name))], ["urgent", "first", "low"]);
  assert.deepEqual(rows.slice(1, 4), ["first", "second", "third"]);
});

test("fairness: jobs claimed ahead of a slow one go back within half a second or so, attempts uncounted, and not again and again", async () => {
  const { begun, task } = gated("slow");
  const done = new Tally<number>();
  const quick = defineTask("quick", { run: (_payload, ctx) => done.add(ctx.job.attempt) });
  const rouse = rouseWith([quick, task]);
  await rouse.enqueueMany(Array.from({ length: 300 }, () => ({ task: quick, priority: 2 })));
  await rouse.enqueue(task, undefined, { priority: 1 });
  await rouse.enqueueMany(Array.from({ length: 500 }, () => ({ task: quick })));
  const blocked = await rouse.startWorker({ concurrency: 1 });
  await begun.reach(1);
  const held = async () => (await db.query("select from rouse.job where state = 'running'")).length;
  assert.ok((await held()) > 1, "nothing was claimed ahead");
  const from = performance.now();
  await until(async () => (await held()) === 1, { message: "what was claimed ahead is given back" });
  assert.ok(performance.now() - from < 2_000);
  assert.equal(blocked.running, 1);

  // Two calls are under way at a time, and some of what the later one brings may have begun before.
  assert.ok(done.all.length < 800);
  // Another worker has the rest at once, and the blocked one does not take them again.
  const helper = rouseWith([quick]);
  await helper.startWorker({ concurrency: 1 });
  await done.reach(800);
  assert.deepEqual(new Set(done.all), new Set([1]));
  begun.all[0]!.end();
  await blocked.drained();
});

test("B3: many jobs coming due together each start once", async () => {
  const ids = new Tally<number>();
  const task = defineTask("due", { run: (_payload, ctx) => ids.add(ctx.job.id) });
  const rouses = [rouseWith([task]), rouseWith([task])];
  for (const rouse of rouses) await rouse.startWorker();
  const runAt = new Date(Date.now() + 700);
  const jobs = await rouses[0]!.enqueueMany(Array.from({ length: 500 }, () => ({ task, runAt })));
  await ids.reach(500);
  for (const { id } of jobs) assert.equal((await finished(id))?.attempt, 1);
  assert.equal(new Set(ids.all).size, 500);
  assert.equal(ids.all.length, 500);
});

test("B4: jobs are run exactly once by workers that compete for them", async () => {
  const ids = new Tally<number>();
  const task = defineTask("contended", { keep: { succeeded: 0 }, run: (_payload, ctx) => ids.add(ctx.job.id) });
  const rouses = Array.from({ length: 5 }, () => rouseWith([task]));
  await Promise.all(rouses.map((rouse) => rouse.startWorker({ concurrency: 5 })));
  await db.query("insert into rouse.job (task) select 'contended' from generate_series(1, 10000)");
  await ids.reach(10_000);
  await until(async () => (await db.query("select from rouse.job")).length === 0, { message: "all are finished" });
  assert.equal(ids.all.length, 10_000);
  assert.equal(new Set(ids.all).size, 10_000);
});

test("A17, B18: jobs of unknown tasks and of other queues stay where they are and harm nobody", async () => {
  const done = new Tally<number>();
  const task = defineTask("known", { run: (_payload, ctx) => done.add(ctx.job.id) });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker({ queues: ["default"] });
  const unknown = await rouse.enqueue("nobody_knows", { a: 1 });
  const elsewhere = await rouse.enqueue(task, undefined, { queue: "elsewhere" });
  const { id } = await rouse.enqueue(task);
  await done.reach(1);
  await worker.drained();
  assert.deepEqual(done.all, [id]);
  const waiting = await db.query("select id::int, state, attempt from rouse.job order by id");
  assert.deepEqual(waiting, [
    { id: unknown.id, state: "ready", attempt: 0 },
    { id: elsewhere.id, state: "ready", attempt: 0 },
  ]);
});
