import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { claimOne, clear, declare, enqueue, register, rows, value } from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool);
});

/** Seconds that the task waits after each of these attempts, with the dice in the middle. */
async function waits(task: Record<string, unknown>, attempts: number[], dice = 0.5): Promise<number[]> {
  await declare(db.pool, { name: "t", ...task });
  return (
    await rows<{ wait: number }>(
      db.pool,
      `select extract(epoch from rouse.backoff(t, a.n, $2))::float8 as wait
       from rouse.task as t, unnest($1::integer[]) with ordinality as a (n, place)
       where t.name = 't'
       order by a.place`,
      [attempts, dice],
    )
  ).map(({ wait }) => wait);
}

test("A9: backoffs are fixed, linear, exponential or a list, up to their cap", async () => {
  const base = { backoff_base: "5 seconds", backoff_cap: "1 hour", jitter: 0 };
  assert.deepEqual(await waits({ ...base, backoff: "fixed" }, [1, 2, 100]), [5, 5, 5]);
  assert.deepEqual(
    await waits({ ...base, backoff: "linear" }, [1, 2, 3, 720, 721, 32767]),
    [5, 10, 15, 3600, 3600, 3600],
  );
  assert.deepEqual(
    await waits({ ...base, backoff: "exponential" }, [1, 2, 3, 4, 10, 11, 32767]),
    [5, 10, 20, 40, 2560, 3600, 3600],
  );
  const list = { ...base, backoff: "list", backoff_list: ["1 second", "10 seconds", "2 hours"] };
  assert.deepEqual(await waits(list, [1, 2, 3, 4, 99]), [1, 10, 3600, 3600, 3600]);
  assert.deepEqual(await waits({}, [1, 2, 10, 11]), [5, 10, 2560, 3600], "the defaults");
});

test("A9: jitter varies a wait by its share, after the cap", async () => {
  const task = { backoff: "fixed", backoff_base: "100 seconds", backoff_cap: "100 seconds", jitter: 0.2 };
  assert.deepEqual(await waits(task, [1], 0), [80]);
  assert.deepEqual(await waits(task, [1], 0.5), [100]);
  assert.deepEqual(await waits(task, [1], 1), [120]);
  assert.deepEqual(await waits({ ...task, jitter: 1 }, [1], 0), [0]);
  const [spread] = await rows<{ least: number; most: number; different: number }>(
    db.pool,
    `select min(w)::float8 as least, max(w)::float8 as most, count(distinct w)::integer as different
     from (
       select extract(epoch from rouse.backoff(t, 1)) as w
       from rouse.task as t, generate_series(1, 200)
       where t.name = 't'
       offset 0
     ) as b`,
  );
  assert.ok(spread!.least >= 0 && spread!.most <= 200 && spread!.different > 100, JSON.stringify(spread));
});

test("A9: no attempt and no policy makes the wait overflow", async () => {
  const huge = { backoff_base: "1000 years", backoff_cap: "100000 years", jitter: 0 };
  const century = 100 * 365.25 * 86400;
  for (const backoff of ["fixed", "linear", "exponential"]) {
    assert.deepEqual(await waits({ ...huge, backoff }, [1, 40, 32767]), [century, century, century]);
  }
  assert.deepEqual(
    await waits({ backoff_base: "1 hour", backoff_cap: "2 days", jitter: 0 }, [33, 34]),
    [172800, 172800],
  );
});

test("A9: a job is tried as often as its task or itself says, and then kept as failed with its errors", async () => {
  await declare(db.pool, { name: "mail", max_attempts: 3, backoff: "fixed", backoff_base: "0" });
  for (const [options, attempts] of [
    [{}, 3],
    [{ max_attempts: 1 }, 1],
    [{ max_attempts: 5 }, 5],
  ] as const) {
    const id = await enqueue(db.pool, "mail", options);
    const states: string[] = [];
    for (let n = 1; n <= attempts; n++) {
      const job = await claimOne(db.pool, worker);
      assert.equal(job.attempt, n);
      const error = JSON.stringify({ message: `no. ${n}`, code: n });
      states.push(await value(db.pool, "select rouse.fail_v1($1, $2, $3)", [job.id, job.lease, error]));
    }
    assert.deepEqual(states, [...Array(attempts - 1).fill("ready"), "failed"]);
    const errors = await rows(
      db.pool,
      "select attempt, message, detail, worker_id from rouse.attempt_error where job_id = $1 order by attempt",
      [id],
    );
    assert.deepEqual(
      errors,
      Array.from({ length: attempts }, (_, n) => ({
        attempt: n + 1,
        message: `no. ${n + 1}`,
        detail: { code: n + 1 },
        worker_id: worker,
      })),
    );
    assert.deepEqual(await rows(db.pool, "select id, state, attempt, error from rouse.failures where id = $1", [id]), [
      { id, state: "failed", attempt: attempts, error: `no. ${attempts}` },
    ]);
  }
});

test("A9: an error may forbid the retry, and a handler may choose its time", async () => {
  await enqueue(db.pool, "mail");
  let job = await claimOne(db.pool, worker);
  const fail = (rest: string) => value(db.pool, `select rouse.fail_v1($1, $2, '"no"', ${rest})`, [job.id, job.lease]);
  assert.equal(await fail("retry_at => '2040-01-01 00:00Z'"), "scheduled");
  assert.equal(await value(db.pool, "select run_at = '2040-01-01 00:00Z' from rouse.job"), true);
  job = await claimOne(db.pool, worker, { asOf: "2040-01-01T00:00Z" });
  assert.equal(await fail("retry_at => now() - interval '1 hour'"), "ready");
  job = await claimOne(db.pool, worker);
  assert.equal(job.attempt, 3);
  assert.equal(await fail("retry => false"), "failed");
  assert.deepEqual(await rows(db.pool, "select state, attempt from rouse.archive"), [{ state: "failed", attempt: 3 }]);
});

test("A9: whatever is thrown is recorded", async () => {
  await declare(db.pool, { name: "mail", max_attempts: 1 });
  for (const [error, message, detail] of [
    [null, "unknown error", null],
    ["null", "null", null],
    ['"no"', "no", null],
    ["42", "42", null],
    ["[1, 2]", "[1, 2]", null],
    ["{}", "unknown error", null],
    ['{"message": "no"}', "no", null],
    ['{"message": null, "code": "E"}', "unknown error", { code: "E" }],
    ['{"message": {"a": 1}}', '{"a": 1}', null],
  ] as const) {
    const id = await enqueue(db.pool, "mail");
    const job = await claimOne(db.pool, worker);
    await db.query("select rouse.fail_v1($1, $2, $3)", [id, job.lease, error]);
    assert.deepEqual(
      await rows(db.pool, "select message, detail from rouse.attempt_error where job_id = $1", [id]),
      [{ message, detail }],
      String(error),
    );
  }
});

test("A12: a released attempt does not count", async () => {
  await enqueue(db.pool, "mail", { max_attempts: 2 });
  for (let n = 0; n < 5; n++) {
    const job = await claimOne(db.pool, worker);
    assert.equal(job.attempt, 1);
    assert.equal(await value(db.pool, "select rouse.release_v1($1, $2)", [job.id, job.lease]), "ready");
  }
  assert.deepEqual(await rows(db.pool, "select state, attempt, worker_id, lease, started_at from rouse.job"), [
    { state: "ready", attempt: 0, worker_id: null, lease: null, started_at: null },
  ]);
});

test("A22: a job under a former name of its task follows the task's policy", async () => {
  const id = await enqueue(db.pool, "mail");
  await declare(db.pool, { name: "send_mail", aliases: ["mail"], max_attempts: 1, keep_failed: "0" });
  const job = await claimOne(db.pool, worker, { tasks: ["send_mail", "mail"] });
  assert.equal(job.task, "mail");
  assert.equal(await value(db.pool, "select rouse.fail_v1($1, $2, null)", [id, job.lease]), "failed");
  assert.deepEqual(await rows(db.pool, "select from rouse.jobs"), []);
});
