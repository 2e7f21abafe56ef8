import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { testDatabase } from "../support/database.ts";
import { declare, empty, rows, value } from "../support/engine.ts";
import { anyCall } from "./any-call.ts";
import type { Real } from "./calls.ts";
import { QueueModel } from "./queue-model.ts";

const db = testDatabase();

/** ROUSE_PROPERTY_RUNS=2000 looks longer; a failure prints the seed by which ROUSE_PROPERTY_SEED repeats it. */
const numRuns = Number(process.env.ROUSE_PROPERTY_RUNS ?? 60);
const seed = process.env.ROUSE_PROPERTY_SEED;

/** Between the clock that the engine read and ours when we were told. */
const CLOCK_TOLERANCE_MS = 60_000;

type Row = {
  id: number;
  state: string;
  attempt: number;
  worker_id: number | null;
  lease: string | null;
  run_at: number;
};

/** The engine's tables are what the model says. */
async function agree(model: QueueModel, { pool }: Real): Promise<void> {
  const live = await rows<Row>(
    pool,
    `select id::int, state, attempt, worker_id, lease, (extract(epoch from run_at) * 1000)::float8 as run_at
     from rouse.job order by id`,
  );
  for (const row of live) {
    const job = model.live.get(row.id);
    if (job === undefined) continue;
    assert.ok(Math.abs(job.runAt - row.run_at) < CLOCK_TOLERANCE_MS, `job ${row.id} is due at ${row.run_at}`);
    job.runAt = row.run_at;
  }
  assert.deepEqual(
    live.map(({ run_at: _, ...job }) => job),
    [...model.live.values()]
      .sort((a, b) => a.id - b.id)
      .map(({ id, state, attempt, worker, lease }) => ({
        ...{ id, state, attempt },
        worker_id: worker ?? null,
        lease: lease ?? null,
      })),
  );
  assert.deepEqual(
    await rows(pool, "select id::int, state, attempt from rouse.archive order by id"),
    [...model.ended.values()]
      .sort((a, b) => a.id - b.id)
      .map(({ id, ended, attempt }) => ({ id, state: ended, attempt })),
  );
  assert.deepEqual(
    (await rows<{ id: number }>(pool, "select id from rouse.worker order by id")).map(({ id }) => id),
    [...model.workers.keys()].sort((a, b) => a - b),
  );
}

test("B8, B12, B15: whatever several clients call, in any order, jobs go through their states as a small model of them says", async () => {
  const locker = await db.connect();
  await declare(db.pool, { name: "any", backoff: "fixed", backoff_base: "1 hour", jitter: 0 });
  const begin = async () => {
    await empty(db, ["job", "archive", "attempt_error", "queue", "worker", "cancel_request"]);
    await locker.query("begin");
    // Whole milliseconds, which is what a date of JavaScript holds: times that are alike here are alike there.
    const start = Math.floor(await value<number>(db.pool, "select extract(epoch from now())::float8 * 1000"));
    const model = new QueueModel();
    model.workers.set(await value<number>(db.pool, "select rouse.register_v1('first')"), 0);
    return { model, real: { pool: db.pool, locker, start } };
  };
  const property = fc.asyncProperty(fc.commands(anyCall(agree), { maxCommands: 60, size: "max" }), async (calls) => {
    try {
      await fc.asyncModelRun(begin, calls);
    } finally {
      await locker.query("rollback");
    }
  });
  await fc.assert(property, { numRuns, ...(seed === undefined ? {} : { seed: Number(seed) }) });
});
