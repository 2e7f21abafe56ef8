import assert from "node:assert/strict";
import test from "node:test";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, blindBeats, useRouse } from "./support.ts";

const db = testDatabase({ prepare: () => blindBeats(db) });
const rouseWith = useRouse(db);

test("B23: ready jobs locked by a transaction that rolls back start within half a second of that, with no wake", async () => {
  const started = new Tally<number>();
  const task = defineTask("locked", { run: (_payload, ctx) => started.add(ctx.job.id) });
  const rouse = rouseWith([task]);
  const locker = await db.connect();
  const { id } = await rouse.enqueue(task);
  await locker.query("begin");
  await locker.query("update rouse.job set priority = 1 where id = $1", [id]);
  const worker = await rouse.startWorker();
  const other = await rouse.enqueue(task);
  assert.deepEqual(await started.reach(1), [other.id]);
  // Long enough for looking again to have come to its longest wait.
  await locker.query("select pg_sleep(1)");
  assert.equal(started.all.length, 1);
  const from = performance.now();
  await locker.query("rollback");
  await started.reach(2);
  const took = performance.now() - from;
  // Half a second is the promise; a busy machine is given ten times that.
  assert.ok(took < 5_000, `${took} ms`);
  assert.deepEqual(started.all, [other.id, id]);
  await worker.drained();
});

test("B26: a finish batch with one row locked by an open transaction: the others finish at once, that one later", async () => {
  const all = new Tally<number>();
  const finish = new Latch();
  const task = defineTask("batch", {
    run: (_payload, ctx) => {
      all.add(ctx.job.id);
      return finish.opened;
    },
  });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  const [first, held, last] = await rouse.enqueueMany([{ task }, { task }, { task }]);
  await all.reach(3);
  const locker = await db.connect();
  await locker.query("begin");
  await locker.query("select from rouse.job where id = $1 for update", [held!.id]);
  finish.open();
  for (const job of [first, last]) {
    await until(() => archived(db, job!.id), { message: "the others are finished" });
  }
  assert.equal(await archived(db, held!.id), undefined);
  assert.equal(worker.running, 0);
  await locker.query("commit");
  assert.equal((await until(() => archived(db, held!.id), { message: "the last is finished" }))?.attempt, 1);
  await worker.drained();
});
