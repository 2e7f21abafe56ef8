import assert from "node:assert/strict";
import test from "node:test";
import { z } from "zod";
import { defineTask, JobError, StoppedError, TimeoutError } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { claimOne, enqueue, listen, register, rows, value } from "../support/engine.ts";
import { until } from "../support/until.ts";
import { terminate, useRouse } from "../worker/support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
const atOnce = { backoff: "fixed", base: 0 } as const;

const double = defineTask("double", { payload: z.number(), run: (n) => ({ twice: 2 * n, at: new Date(0) }) });

/** The error with which something rejects. */
async function rejection<E extends Error>(
  promise: Promise<unknown>,
  type: abstract new (...args: never[]) => E,
): Promise<E> {
  const error = await promise.then(
    () => assert.fail("it did not reject"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof type, String(error));
  return error;
}

const awaited = async (id: number) => (await db.query("select from rouse.awaited where job_id = $1", [id])).length > 0;
const isAwaited = (id: number) => until(() => awaited(id), { message: `job ${id} is awaited` });

test("A15: the result reaches whoever enqueued, as it comes back from JSON", async () => {
  const rouse = rouseWith([double]);
  await rouse.startWorker();
  const handle = await rouse.enqueue(double, 4);
  const result: { twice: number; at: string } = await handle.result();
  assert.deepEqual(result, { twice: 8, at: "1970-01-01T00:00:00.000Z" });
  assert.deepEqual(await handle.result(), result, "also when it has ended long ago");
  assert.deepEqual(await rouse.result(handle.id), result, "and by its id");
  const sql = await rows(db.pool, "select state, result, error, attempt, errors from rouse.result($1)", [handle.id]);
  assert.deepEqual(sql, [{ state: "succeeded", result, error: null, attempt: 1, errors: null }]);
});

test("A15: a job that fails rejects with its task's error, its attempts and their history", async () => {
  const failing = defineTask("failing", {
    retry: { maxAttempts: 2, ...atOnce },
    run: (_payload, { job }) => {
      throw Object.assign(new TypeError(`failure ${job.attempt}`), { code: "E_TEST" });
    },
  });
  const rouse = rouseWith([failing]);
  await rouse.startWorker();
  const { id, result } = await rouse.enqueue(failing);
  const error = await rejection(result(), JobError);
  assert.equal(error.message, `job ${id} failed after 2 attempts: failure 2`);
  const { state, attempts, failures } = error;
  assert.deepEqual({ id: error.id, state, attempts }, { id, state: "failed", attempts: 2 });
  assert.deepEqual(
    failures.map(({ attempt, message, detail }) => [attempt, message, detail.code]),
    [
      [1, "failure 1", "E_TEST"],
      [2, "failure 2", "E_TEST"],
    ],
  );
  assert.ok(failures.every(({ failedAt }) => Math.abs(failedAt.getTime() - Date.now()) < 3_600_000));
  const cause = error.cause as Error & { code: string };
  assert.deepEqual([cause.name, cause.message, cause.code], ["TypeError", "failure 2", "E_TEST"]);
  assert.match(cause.stack!, /result\.test/);
  assert.equal(await value(db.pool, "select error from rouse.result($1)", [id]), "failure 2");
});

test("A15: one that is cancelled, purged, or of which nothing is kept, rejects and says so", async () => {
  const rouse = rouseWith([double]);
  const [cancelled, purged] = [await rouse.enqueue(double, 1), await rouse.enqueue(double, 2)];
  const endings = [cancelled, purged].map(({ result }) => rejection(result(), JobError));
  await isAwaited(cancelled.id);
  await isAwaited(purged.id);
  await rouse.cancel(cancelled.id);
  await rouse.purge(purged.id);
  const [first, second] = await Promise.all(endings);
  assert.equal(first!.message, `job ${cancelled.id} was cancelled by postgres`);
  assert.equal(first!.state, "cancelled");
  assert.match(second!.message, new RegExp(`there is no job ${purged.id}: its task keeps no`));
  assert.equal(second!.state, "gone");

  const fleeting = defineTask("fleeting", { keep: { succeeded: 0 }, run: () => 1 });
  const other = rouseWith([fleeting]);
  await other.startWorker();
  assert.equal((await rejection((await other.enqueue(fleeting)).result(), JobError)).state, "gone");
  assert.equal((await rejection(rouse.result(987_654_321), JobError)).state, "gone");
});

test("A15: the wait ends by its timeout, its signal, or the client's close, and the job goes on", async () => {
  const rouse = rouseWith([double]);
  const { id, result } = await rouse.enqueue(double, 1, { delay: "1h" });
  const error = await rejection(result({ timeout: 20 }), TimeoutError);
  assert.equal(error.message, `job ${id} has not ended within 20 ms`);
  const controller = new AbortController();
  const waiting = rejection(result({ signal: controller.signal }), RangeError);
  controller.abort(new RangeError("enough"));
  assert.equal((await waiting).message, "enough");
  await rejection(result({ signal: controller.signal }), RangeError);
  const open = rejection(result(), StoppedError);
  await isAwaited(id);
  await rouse.close();
  await open;
  await assert.rejects(result(), /this client was closed/);
  await assert.rejects(result({ timeuot: 1 } as never), /unknown option "timeuot"/);
  assert.equal(await value(db.pool, "select state from rouse.job where id = $1", [id]), "scheduled");
});

test("A15: any number of waits share one connection, and each gets its own result", async () => {
  const rouse = rouseWith([double]);
  await rouse.startWorker({ concurrency: 20 });
  const jobs = await rouse.enqueueMany(Array.from({ length: 500 }, (_, payload) => ({ task: double, payload })));
  const results = await Promise.all(jobs.flatMap(({ result }) => [result(), result()]));
  assert.deepEqual(
    results.map(({ twice }) => twice),
    Array.from({ length: 1_000 }, (_, n) => 2 * Math.floor(n / 2)),
  );
  // It is the worker's too.
  const listeners =
    "select from pg_stat_activity where datname = current_database() and application_name = 'rouse listener'";
  assert.equal((await db.query(listeners)).length, 1);
});

test("A15: an end that is being written when the wait begins is not missed", async () => {
  const rouse = rouseWith([double]);
  const worker = await register(db.pool);
  const { id, result } = await rouse.enqueue(double, 1);
  const { lease } = await claimOne(db.pool, worker);
  const client = await db.connect();
  await client.query("begin");
  await client.query("select rouse.complete_v1($1, $2, '7')", [id, lease]);
  const ear = await listen(db);
  const waiting = result();
  await isAwaited(id);
  await client.query("commit");
  assert.equal(await waiting, 7);
  assert.deepEqual(await ear.heard(), [], "nobody could tell");
});

test("A15: an end that is notified while the listener is away is not missed", async () => {
  const rouse = rouseWith([double]);
  const worker = await register(db.pool);
  const { id, result } = await rouse.enqueue(double, 1);
  const { lease } = await claimOne(db.pool, worker);
  const waiting = result();
  await isAwaited(id);
  await terminate(db, "rouse listener");
  await db.query("select rouse.complete_v1($1, $2, '7')", [id, lease]);
  assert.equal(await waiting, 7);
});

test("A15: only jobs that somebody waits for are notified of, however they end", async () => {
  const worker = await register(db.pool);
  const ear = await listen(db);
  const ids = [];
  for (let n = 0; n < 5; n++) ids.push(await enqueue(db.pool, "quiet"));
  const claimed = await rows<{ id: string; lease: string }>(
    db.pool,
    "select id, lease from rouse.claim_v1($1, tasks => '{quiet}', most => 5)",
    [worker],
  );
  const [one, two, three, four, five] = claimed.map(({ id, lease }) => [id, lease]);
  await db.query("select rouse.await_v1($1)", [[one![0], three![0], four![0]]]);
  await ear.heard();
  await db.query("select rouse.complete_many_v1($1, $2)", [
    [one![0], two![0]],
    [one![1], two![1]],
  ]);
  await db.query("select rouse.fail_v1($1, $2, '{}', retry => false)", three);
  await db.query("select rouse.complete_v1($1, $2)", four);
  await db.query("select rouse.complete_v1($1, $2)", five);
  const heard = (await ear.heard()).map(({ ended }) => ended);
  assert.deepEqual(heard, [Number(one![0]), Number(three![0]), Number(four![0])]);
});

test("waits that nobody renews are forgotten", async () => {
  const id = await enqueue(db.pool, "quiet", { delay: "1 hour" });
  await db.query("select rouse.await_v1($1)", [[id, "987654"]]);
  assert.deepEqual(await rows(db.pool, "select job_id from rouse.awaited where job_id in ($1, 987654)", [id]), [
    { job_id: id },
  ]);
  await db.query("select rouse.sweep(as_of => clock_timestamp() + interval '2 minutes')");
  assert.equal(await awaited(Number(id)), false);
});

test("a role without the right to read results is told so", async () => {
  const role = `result_${process.pid}`;
  await db.query(`create role ${role} login password 'x'`);
  try {
    await db.query("select rouse.grant_access($1, 'enqueue')", [role]);
    const url = new URL(db.url);
    url.username = role;
    url.password = "x";
    const rouse = rouseWith([double], { connectionString: url.href });
    const { result } = await rouse.enqueue(double, 1, { delay: "1h" });
    await assert.rejects(result(), /permission denied for function await_v1/);
    await rouse.close();
  } finally {
    await db.query("select rouse.revoke_access($1)", [role]);
    await db.query(`drop role ${role}`);
  }
});
