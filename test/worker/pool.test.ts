import assert from "node:assert/strict";
import test from "node:test";
import pg from "pg";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });

test("B13: more transactions than the pool has connections leave two for the worker itself", async () => {
  const pool = new pg.Pool({ connectionString: db.url, max: 4 });
  const inside = new Tally<number>();
  const commit = new Latch();
  const slow = defineTask("slow", {
    run: (_payload, ctx) =>
      ctx.transaction(async (client) => {
        inside.add(ctx.job.id);
        await commit.opened;
        await client.query("select 1");
      }),
  });
  const quick = defineTask("quick", { run: () => "done" });
  const rouse = rouseWith([slow, quick], { pool });
  try {
    await rouse.startWorker({ concurrency: 7 });
    const slows = await rouse.enqueueMany(Array.from({ length: 6 }, () => ({ task: slow })));
    await inside.reach(2);
    const { id } = await rouse.enqueue(quick);
    assert.equal((await finished(id))?.result, "done");
    assert.equal(inside.all.length, 2);
    commit.open();
    for (const job of slows) assert.equal((await finished(job.id))?.attempt, 1);
    assert.equal(pool.listenerCount("error"), 1);
    await rouse.close();
    assert.equal(pool.listenerCount("error"), 0);
  } finally {
    await pool.end();
  }
});

test("B13: an attempt that ends while it waits for a connection gives back the one that it then gets", async () => {
  const pool = new pg.Pool({ connectionString: db.url, max: 3 });
  const ran = new Tally<number>();
  const task = defineTask("waiting", {
    timeout: 300,
    retry: { maxAttempts: 1 },
    run: async (_payload, ctx) => {
      // All that the worker does not use at this moment.
      const taken = await Promise.all(Array.from({ length: 3 }, () => pool.connect()));
      const transaction = ctx.transaction(async () => ran.add(1));
      ctx.signal.addEventListener("abort", () => {
        for (const client of taken) client.release();
      });
      await transaction;
    },
  });
  const rouse = rouseWith([task], { pool });
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task);
  assert.equal((await finished(id))?.state, "failed");
  await rouse.close();
  await until(() => pool.idleCount === pool.totalCount, { message: "no connection is out" });
  assert.deepEqual(ran.all, []);
  await pool.end();
});
