import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import {
  type ClaimOptions,
  claim,
  claimOne,
  clear,
  declare,
  enqueue,
  register,
  rows,
  value,
} from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool);
});

/** Names of the tasks in the order in which they are handed out. */
async function tasksOf(options: ClaimOptions): Promise<string> {
  return (await claim(db.pool, worker, options)).map(({ task }) => task).join(" ");
}

test("B6: claims follow priority, then due time, then id", async () => {
  await db.query(`
    insert into rouse.job (task, priority, run_at) values
      ('e', 0, '2020-01-01'), ('f', 0, '2020-01-01'),
      ('d', 0, '2019-01-01'),
      ('g', -5, '2000-01-01'),
      ('c', 9, '2021-01-01'), ('b', 9, '2020-01-01'),
      ('a', 100, now())`);
  assert.equal(await tasksOf({ most: 3 }), "a b c");
  assert.equal(await tasksOf({ most: 1 }), "d");
  assert.equal(await tasksOf({ most: 10 }), "e f g");
});

test("B6: over several queues too, whether they are named or not", async () => {
  const fill = () =>
    db.query(`
      insert into rouse.job (task, queue, priority, run_at) values
        ('c', 'x', 1, '2020-01-02'), ('a', 'y', 2, '2020-01-01'),
        ('d', 'z', 1, '2020-01-03'), ('b', 'y', 1, '2020-01-01'),
        ('e', 'x', 0, '2020-01-01'), ('f', 'y', 0, '2020-01-02')`);
  await fill();
  assert.equal(await tasksOf({ most: 4 }), "a b c d");
  assert.equal(await tasksOf({ most: 4 }), "e f");
  await fill();
  assert.equal(await tasksOf({ most: 3, queues: ["x", "y"] }), "a b c");
  assert.equal(await tasksOf({ most: 3, queues: ["x", "x", "x"] }), "e");
  assert.equal(await tasksOf({ most: 3, queues: ["w", "z"] }), "d");
  assert.equal(await tasksOf({ most: 3, queues: [] }), "");
});

test("B6: a retried job does not push ahead of jobs that came meanwhile", async () => {
  await declare(db.pool, { name: "old", backoff: "fixed", backoff_base: "0" });
  await enqueue(db.pool, "old");
  const { id, lease } = await claimOne(db.pool, worker);
  await enqueue(db.pool, "new");
  assert.equal(await value(db.pool, "select rouse.fail_v1($1, $2, null)", [id, lease]), "ready");
  assert.equal(await tasksOf({ most: 10 }), "new old");
});

test("A17: tasks that a worker does not have are left to others", async () => {
  await db.query("insert into rouse.job (task) select t from unnest('{a,b,c,a,b}'::text[]) t");
  assert.equal(await tasksOf({ most: 10, tasks: ["a", "c"] }), "a c a");
  assert.equal(await tasksOf({ most: 10, tasks: [] }), "");
  assert.equal(await tasksOf({ most: 10 }), "b b");
});

test("a claimed job says all that a worker needs, under a lease of its own", async () => {
  const id = await enqueue(db.pool, "mail", {
    payload: { to: 1 },
    queue: "post",
    priority: 5,
    timeout: "30 s",
    max_attempts: 4,
    tags: ["x"],
    headers: { trace: "y" },
  });
  const [job] = await rows(db.pool, "select *, timeout::text from rouse.claim_v1($1)", [worker]);
  assert.match(String(job?.lease), /^[0-9a-f-]{36}$/);
  assert.deepEqual(
    { ...job, lease: 0, run_at: 0, created_at: 0 },
    {
      id,
      lease: 0,
      task: "mail",
      payload: { to: 1 },
      queue: "post",
      priority: 5,
      attempt: 1,
      max_attempts: 4,
      run_at: 0,
      created_at: 0,
      scheduled_for: null,
      timeout: "00:00:30",
      tags: ["x"],
      headers: { trace: "y" },
      expires_in: null,
    },
  );
  const row = "select state, worker_id, lease, started_at is not null as started from rouse.job";
  assert.deepEqual(await rows(db.pool, row), [
    { state: "running", worker_id: worker, lease: job?.lease, started: true },
  ]);
  const before = job?.lease;
  await db.query("select rouse.release_v1($1, $2)", [id, before]);
  assert.notEqual((await claimOne(db.pool, worker)).lease, before);
});

test("B20: a paused queue is left alone, and no other one", async () => {
  await db.query("insert into rouse.job (task, queue) values ('a', 'x'), ('b', 'y')");
  await db.query("select rouse.pause('x')");
  assert.equal(await tasksOf({ most: 10 }), "b");
  assert.equal(await tasksOf({ most: 10, queues: ["x"] }), "");
  await db.query("select rouse.resume('x')");
  assert.equal(await tasksOf({ most: 10 }), "a");
});

test("jobs of one queue that others are taking do not keep a worker from the other queue", async () => {
  await db.query(`insert into rouse.job (task, queue, priority) select 'urgent', 'x', 9 from generate_series(1, 10)`);
  await db.query(`insert into rouse.job (task, queue) select 'bulk', 'y' from generate_series(1, 20)`);
  const other = await db.connect();
  await other.query("begin");
  assert.equal((await claim(other, await register(db.pool, "other"), { most: 8 })).length, 8);
  assert.equal(await tasksOf({ most: 10 }), `urgent urgent${" bulk".repeat(8)}`);
  assert.equal(await tasksOf({ most: 10 }), "bulk ".repeat(10).trim());
  await other.query("rollback");
  assert.equal((await tasksOf({ most: 100 })).length, "urgent ".repeat(8).length + "bulk bulk".length);
});
