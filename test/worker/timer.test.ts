import assert from "node:assert/strict";
import test from "node:test";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, blindBeats, useRouse } from "./support.ts";

const db = testDatabase({ prepare: () => blindBeats(db) });
const rouseWith = useRouse(db);

/** Milliseconds from when a job was due to when it started. */
async function lateness(id: number): Promise<number> {
  await until(() => archived(db, id), { message: `job ${id} is finished` });
  const [row] = await db.query<{ ms: number }>(
    "select extract(epoch from started_at - run_at)::float * 1000 as ms from rouse.archive where id = $1",
    [id],
  );
  return row!.ms;
}

/** But for what a busy machine takes: without a timer it would not start at all. */
const assertOnTime = (lateMs: number) => assert.ok(lateMs >= 0 && lateMs < 3_000, `${lateMs} ms late`);

test("B2: a delayed job starts on time, not early, wakes nobody before, and no beat has a part in it", async () => {
  const task = defineTask("delayed", { run: () => {} });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  await worker.drained();
  const { id } = await rouse.enqueue(task, undefined, { delay: 500 });
  assertOnTime(await lateness(id));
});

test("B2: an earlier job moves the timer of sleeping workers, a later one does not delay it", async () => {
  const order = new Tally<number>();
  const task = defineTask("delayed", { run: (_payload, ctx) => order.add(ctx.job.id) });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const middle = await rouse.enqueue(task, undefined, { delay: 600 });
  const early = await rouse.enqueue(task, undefined, { delay: 300 });
  const late = await rouse.enqueue(task, undefined, { runAt: new Date(Date.now() + 900) });
  assert.deepEqual(await order.reach(3), [early.id, middle.id, late.id]);
  for (const { id } of [early, middle, late]) assertOnTime(await lateness(id));
});

test("B2: a retried job starts on time", async () => {
  const task = defineTask("retried", {
    retry: { backoff: [300], jitter: 0 },
    run: (_payload, ctx) => {
      if (ctx.job.attempt === 1) throw new Error("once");
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task);
  assertOnTime(await lateness(id));
});

test("B4: a wake that races the timer runs a job once", async () => {
  const runs = new Tally<number>();
  const task = defineTask("raced", { run: (_payload, ctx) => runs.add(ctx.job.id) });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker({ concurrency: 50 });
  const due = Date.now() + 500;
  const futures = await rouse.enqueueMany(
    Array.from({ length: 100 }, (_, index) => ({ task, runAt: new Date(due + index) })),
  );
  // Wakes all through the time in which the timer fires.
  const wakes: Promise<unknown>[] = [];
  while (runs.all.length < 100 + wakes.length) {
    if (wakes.length < 200) wakes.push(rouse.enqueue(task));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(wakes);
  await worker.drained();
  assert.equal(new Set(runs.all).size, runs.all.length);
  for (const { id } of futures) assert.equal((await archived(db, id))?.attempt, 1);
});

test("B2: a job due in 30 days neither starts now nor makes anyone busy", async () => {
  const runs = new Tally<number>();
  const task = defineTask("far", { run: (_payload, ctx) => runs.add(ctx.job.id) });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  const { id } = await rouse.enqueue(task, undefined, { delay: "30 days" });
  const now = await rouse.enqueue(task);
  await runs.reach(1);
  await worker.drained();
  assert.deepEqual(runs.all, [now.id]);
  await db.query("select rouse.purge($1)", [id]);
});
