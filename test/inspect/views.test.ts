import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { claim, claimOne, clear, declare, enqueue, register, rows, value } from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool, "host-1 (77)");
});

const fail = (id: string, lease: string, rest = "") =>
  db.query(`select rouse.fail_v1($1, $2, '{"message": "no route", "code": 7}'${rest})`, [id, lease]);

test("the view jobs shows live and finished jobs alike", async () => {
  await declare(db.pool, { name: "mail", max_attempts: 3 });
  const done = await enqueue(db.pool, "mail", { payload: { to: 1 }, unique_key: "k" });
  let job = await claimOne(db.pool, worker);
  await db.query(`select rouse.complete_v1($1, $2, '{"sent": 1}')`, [done, job.lease]);
  const failed = await enqueue(db.pool, "mail", { max_attempts: 1 });
  job = await claimOne(db.pool, worker);
  await fail(failed, job.lease);
  const waiting = await enqueue(db.pool, "mail", { priority: 9 });
  job = await claimOne(db.pool, worker);
  await fail(waiting, job.lease, ", retry_at => now() + interval '90 minutes 10 seconds'");
  const running = await enqueue(db.pool, "other", { queue: "slow" });
  await claimOne(db.pool, worker);
  const ready = await enqueue(db.pool, "mail", { max_attempts: 5 });
  const later = await enqueue(db.pool, "mail", { delay: "3 days 1 hour" });
  await db.query("insert into rouse.job (task, state) values ('mail', 'blocked')");

  const seen = await rows<Record<string, string | null>>(
    db.pool,
    `select id, task, state, queue, priority, "when", age, attempt, worker, last_error, payload, result, unique_key
     from rouse.jobs order by id`,
  );
  const spans = seen.map(({ when, age }) => `${when}, ${age}`.replace(/\d+(\.\d+)? (ms|s)\b/g, "x"));
  assert.deepEqual(
    seen.map(({ when, age, ...row }) => Object.values(row)),
    [
      [done, "mail", "succeeded", "default", 0, "1/3", "host-1 (77)", null, { to: 1 }, { sent: 1 }, "k"],
      [failed, "mail", "failed", "default", 0, "1/1", "host-1 (77)", "no route", {}, null, null],
      [waiting, "mail", "scheduled", "default", 9, "1/3", null, "no route", {}, null, null],
      [running, "other", "running", "slow", 0, "1/10", "host-1 (77)", null, {}, null, null],
      [ready, "mail", "ready", "default", 0, "0/5", null, null, {}, null, null],
      [later, "mail", "scheduled", "default", 0, "0/3", null, null, {}, null, null],
      [String(Number(later) + 1), "mail", "blocked", "default", 0, "0/3", null, null, {}, null, null],
    ],
  );
  assert.deepEqual(spans, ["took x, x", "took x, x", "in 90 min, x", "for x, x", "waits x, x", "in 3 d, x", "null, x"]);
});

test("A9: the view failures shows the last error of each job that failed", async () => {
  const dead = await enqueue(db.pool, "mail", { payload: { to: 1 } });
  let job = await claimOne(db.pool, worker);
  await fail(dead, job.lease, ", retry_at => now()");
  job = await claimOne(db.pool, worker);
  await db.query("select rouse.fail_v1($1, $2, '\"gone\"', retry => false)", [dead, job.lease]);
  const waiting = await enqueue(db.pool, "mail");
  job = await claimOne(db.pool, worker);
  await fail(waiting, job.lease, ", retry_at => now() + interval '10 minutes 5 seconds'");
  await enqueue(db.pool, "fine");
  job = await claimOne(db.pool, worker);
  await db.query("select rouse.complete_v1($1, $2)", [job.id, job.lease]);
  assert.deepEqual(
    await rows(
      db.pool,
      "select id, task, state, attempt, error, next, payload, detail from rouse.failures order by id",
    ),
    [
      {
        id: dead,
        task: "mail",
        state: "failed",
        attempt: 2,
        error: "gone",
        next: null,
        payload: { to: 1 },
        detail: null,
      },
      {
        id: waiting,
        task: "mail",
        state: "scheduled",
        attempt: 1,
        error: "no route",
        next: "in 10 min",
        payload: {},
        detail: { code: 7 },
      },
    ],
  );
});

test("B20: the view queues counts what waits where, and says what is paused", async () => {
  await db.query(`
    insert into rouse.job (task, queue, run_at, state) values
      ('a', 'post', now() - interval '5 minutes', 'ready'), ('a', 'post', now(), 'ready'),
      ('a', 'post', now() + interval '2 hours 5 minutes', 'scheduled'), ('a', 'math', now(), 'blocked'),
      ('a', 'math', now(), 'waiting')`);
  await claim(db.pool, worker, { queues: ["post"] });
  await db.query("select rouse.pause('math'), rouse.pause('empty')");
  await db.query("select rouse.register_v1('poster', queues => '{post}')");
  const seen = await rows(
    db.pool,
    `select queue, regexp_replace(status, ' \\d.*', '') as status, ready, running, scheduled, blocked,
            oldest is not null as oldest, next, workers
     from rouse.queues`,
  );
  const none = { ready: "0", running: "0", scheduled: "0", blocked: "0", oldest: false, next: null, workers: "1" };
  assert.deepEqual(seen, [
    { ...none, queue: "empty", status: "paused" },
    { ...none, queue: "math", status: "paused", blocked: "2" },
    {
      ...none,
      queue: "post",
      status: "open",
      ready: "1",
      running: "1",
      scheduled: "1",
      oldest: true,
      next: "in 2 h",
      workers: "2",
    },
  ]);
});

test("the view workers says who works on how much, and who has fallen silent", async () => {
  await db.query("select rouse.enqueue('a') from generate_series(1, 3)");
  await claim(db.pool, worker, { most: 2 });
  const other = await value<number>(
    db.pool,
    "select rouse.register_v1('b', 'host-2', 88, '1.0', '{x,y}', '{t,u,v}', 10)",
  );
  await db.query("update rouse.worker set beat_at = now() - interval '1 hour' where id = $1", [other]);
  assert.deepEqual(
    await rows(
      db.pool,
      `select id, worker, status, jobs, regexp_replace(last_beat, '^[\\d.]+ m?s ', 'a moment ') as last_beat,
              queues, tasks, host, pid, version
       from rouse.workers`,
    ),
    [
      {
        id: worker,
        worker: "host-1 (77)",
        status: "running",
        jobs: "2/?",
        last_beat: "a moment ago",
        queues: "all",
        tasks: "all",
        host: null,
        pid: null,
        version: null,
      },
      {
        id: other,
        worker: "b",
        status: "silent",
        jobs: "0/10",
        last_beat: "60 min ago",
        queues: "x, y",
        tasks: "3",
        host: "host-2",
        pid: 88,
        version: "1.0",
      },
    ],
  );
});

test("a duration is shown in one unit", async () => {
  for (const [duration, shown] of [
    ["0", "0 ms"],
    ["0.0004 s", "0 ms"],
    ["0.25 s", "250 ms"],
    ["-0.25 s", "-250 ms"],
    ["1 s", "1.0 s"],
    ["9.94 s", "9.9 s"],
    ["10.4 s", "10 s"],
    ["119 s", "119 s"],
    ["120 s", "2 min"],
    ["7199 s", "120 min"],
    ["2 hours", "2 h"],
    ["47 hours", "47 h"],
    ["48 hours", "2 d"],
    ["1 year", "365 d"],
    ["-3 days", "-3 d"],
  ]) {
    assert.equal(await value(db.pool, "select rouse.short($1)", [duration]), shown, duration);
  }
  assert.equal(await value(db.pool, "select rouse.short(null)"), null);
});
