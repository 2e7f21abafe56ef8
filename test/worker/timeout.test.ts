import assert from "node:assert/strict";
import test from "node:test";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, errorsOf, shortLease, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });

test("B10: past its timeout the signal aborts, the attempt fails and is retried; the slot is free when the handler ends", async () => {
  const aborted = new Tally<unknown>();
  const task = defineTask("slow", {
    timeout: 100,
    retry: { backoff: "fixed", base: 0 },
    run: async (_payload, ctx) => {
      if (ctx.job.attempt > 1) return "in time";
      await new Promise((_resolve, reject) => {
        ctx.signal.addEventListener("abort", () => {
          aborted.add(ctx.signal.reason);
          reject(ctx.signal.reason);
        });
      });
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker({ concurrency: 1 });
  const { id } = await rouse.enqueue(task);
  const job = await finished(id);
  assert.deepEqual([job?.state, job?.attempt, job?.result], ["succeeded", 2, "in time"]);
  assert.deepEqual(await errorsOf(db, id), ["the attempt took longer than its timeout of 100 ms"]);
  assert.equal((aborted.all[0] as Error).name, "TimeoutError");
});

test("B5, B10: a handler that ignores its signal holds its own slot only, and the view workers says so", async () => {
  await shortLease(db);
  const end = new Latch();
  const deaf = defineTask("deaf", { timeout: 50, retry: { maxAttempts: 1 }, run: () => end.opened });
  let most = 0;
  const good = defineTask("good", {
    run: async () => {
      most = Math.max(most, worker.running);
    },
  });
  const rouse = rouseWith([deaf, good]);
  const worker = await rouse.startWorker({ concurrency: 3 });
  const { id } = await rouse.enqueue(deaf);
  assert.equal((await finished(id))?.state, "failed");
  const goods = await rouse.enqueueMany(Array.from({ length: 50 }, () => ({ task: good })));
  for (const job of goods) assert.equal((await finished(job.id))?.state, "succeeded");
  assert.ok(most <= 3, `${most} handlers at a time`);
  const stuck = async () => (await db.query("select stuck from rouse.workers"))[0]?.stuck;
  await until(async () => (await stuck()) === 1, { message: "the view shows the stuck slot" });
  assert.equal((await rouse.log.line(/^the handler ignores that its signal has aborted/)).fields.task, "deaf");
  end.open();
  await rouse.log.line(/^the handler that ignored its signal has ended/);
  await until(async () => (await stuck()) === 0, { message: "the view shows that the slot is free" });
});
