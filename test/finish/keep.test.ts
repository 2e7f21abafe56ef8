import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { claim, claimOne, clear, declare, enqueue, register, rows, value } from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool);
});

test("A15: a finished job keeps its input, result and times", async () => {
  const id = await enqueue(db.pool, "sum", {
    payload: "[1, 2]",
    queue: "math",
    priority: 3,
    unique_key: "k",
    tags: ["a"],
  });
  const job = await claimOne(db.pool, worker);
  assert.equal(await value(db.pool, "select rouse.complete_v1($1, $2, $3)", [id, job.lease, "3"]), "succeeded");
  assert.deepEqual(
    await rows(
      db.pool,
      `select id, task, queue, priority, state, attempt, payload, result, unique_key, tags, worker_id,
              created_at <= started_at and started_at <= finished_at as in_order
       from rouse.archive`,
    ),
    [
      {
        id,
        task: "sum",
        queue: "math",
        priority: 3,
        state: "succeeded",
        attempt: 1,
        payload: [1, 2],
        result: 3,
        unique_key: "k",
        tags: ["a"],
        worker_id: worker,
        in_order: true,
      },
    ],
  );
  assert.deepEqual(await rows(db.pool, "select from rouse.job"), []);
});

test("A15: a batch of results finds each its job, whatever kind of JSON it is", async () => {
  await db.query("select rouse.enqueue('sum') from generate_series(1, 5)");
  const jobs = await claim(db.pool, worker, { most: 5 });
  const results = [{ a: 1 }, "text", null, false];
  await db.query("select * from rouse.complete_many_v1($1, $2, $3)", [
    jobs.map(({ id }) => id),
    jobs.map(({ lease }) => lease),
    JSON.stringify(Object.fromEntries(results.map((result, n) => [jobs[n]!.id, result]))),
  ]);
  assert.deepEqual(await rows(db.pool, "select result::text from rouse.archive order by id"), [
    { result: '{"a": 1}' },
    { result: '"text"' },
    { result: "null" },
    { result: "false" },
    { result: null },
  ]);
});

test("a result of 10 MB is kept", async () => {
  await enqueue(db.pool, "sum");
  const job = await claimOne(db.pool, worker);
  await db.query("select rouse.complete_v1($1, $2, to_jsonb(repeat('x', 10000000)))", [job.id, job.lease]);
  assert.equal(await value(db.pool, "select length(result #>> '{}') from rouse.archive"), 10_000_000);
});

test("each task says how long its jobs stay, by whichever call they end", async () => {
  await declare(
    db.pool,
    { name: "short", keep_succeeded: "2 days", keep_failed: "3 days" },
    { name: "none", keep_succeeded: "0", keep_failed: "0" },
  );
  const day = "select ((clock_timestamp() at time zone 'UTC')::date + $1::integer + 1)::text";
  const end = async (task: string, call: string) => {
    const id = await enqueue(db.pool, task);
    const { lease } = await claimOne(db.pool, worker);
    await db.query(`select * from rouse.${call}`, [id, lease]);
    const kept = await rows<{ drop_on: string }>(db.pool, "select drop_on::text from rouse.archive where id = $1", [
      id,
    ]);
    return kept[0]?.drop_on;
  };
  const [complete, many, fail] = [
    "complete_v1($1, $2)",
    "complete_many_v1(array[$1::bigint], array[$2::uuid])",
    "fail_v1($1, $2, null, retry => false)",
  ];
  assert.equal(await end("short", complete), await value(db.pool, day, [2]));
  assert.equal(await end("short", many), await value(db.pool, day, [2]));
  assert.equal(await end("short", fail), await value(db.pool, day, [3]));
  assert.equal(await end("unknown", complete), await value(db.pool, day, [1]));
  assert.equal(await end("unknown", many), await value(db.pool, day, [1]));
  assert.equal(await end("none", complete), undefined);
  assert.equal(await end("none", many), undefined);
  await db.query("truncate rouse.attempt_error");
  assert.equal(await end("none", fail), undefined);
  assert.deepEqual(await rows(db.pool, "select from rouse.attempt_error"), [], "nothing is kept, errors neither");
  assert.deepEqual(await rows(db.pool, "select from rouse.job"), []);
});

test("a batch over many tasks keeps each job by its own task", async () => {
  await declare(db.pool, { name: "a", keep_succeeded: "0" }, { name: "b", keep_succeeded: "5 days" }, { name: "c" });
  await db.query("select rouse.enqueue(t) from unnest('{a,b,c,d,a,b,c,d}'::text[]) t");
  const jobs = await claim(db.pool, worker, { most: 10 });
  await db.query("select * from rouse.complete_many_v1($1, $2)", [
    jobs.map(({ id }) => id),
    jobs.map(({ lease }) => lease),
  ]);
  assert.deepEqual(
    await rows(
      db.pool,
      `select task, drop_on - (finished_at at time zone 'UTC')::date as days, count(*)::integer as n
       from rouse.archive group by 1, 2 order by 1`,
    ),
    [
      { task: "b", days: 6, n: 2 },
      { task: "c", days: 2, n: 2 },
      { task: "d", days: 2, n: 2 },
    ],
  );
});
