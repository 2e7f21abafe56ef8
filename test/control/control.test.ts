import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  claimOne,
  clear,
  declare,
  enqueue,
  pidOf,
  register,
  rows,
  value,
  waitsForLock,
} from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool);
});

/** A job that has ended failed. */
async function failed(task: string, options: Record<string, unknown> = {}): Promise<string> {
  const id = await enqueue(db.pool, task, options);
  const { lease } = await claimOne(db.pool, worker);
  await db.query(`select rouse.fail_v1($1, $2, '{"message": "no"}', retry => false)`, [id, lease]);
  return id;
}

const retry = (id: string) => value<boolean>(db.pool, "select rouse.retry($1)", [id]);

test("A9: one query retries failed jobs, with all their attempts", async () => {
  const first = await failed("mail", { payload: { to: 1 }, queue: "post", priority: 4, tags: ["x"], max_attempts: 2 });
  const second = await failed("mail");
  await failed("other");
  const retried = await rows(db.pool, "select rouse.retry(id) as done from rouse.failures where task = 'mail'");
  assert.deepEqual(retried, [{ done: true }, { done: true }]);
  assert.deepEqual(
    await rows(
      db.pool,
      "select id, state, attempt, payload, queue, priority, tags, max_attempts from rouse.job order by priority desc",
    ),
    [
      {
        id: first,
        state: "ready",
        attempt: 0,
        payload: { to: 1 },
        queue: "post",
        priority: 4,
        tags: ["x"],
        max_attempts: 2,
      },
      {
        id: second,
        state: "ready",
        attempt: 0,
        payload: {},
        queue: "default",
        priority: 0,
        tags: null,
        max_attempts: null,
      },
    ],
  );
  assert.deepEqual(await rows(db.pool, "select task from rouse.archive"), [{ task: "other" }]);
  assert.equal((await claim(db.pool, worker))[0]?.attempt, 1);
});

test("retry makes a job that waits for its next attempt due, and leaves all others alone", async () => {
  const waiting = await enqueue(db.pool, "mail");
  const { lease } = await claimOne(db.pool, worker);
  await db.query("select rouse.fail_v1($1, $2, null)", [waiting, lease]);
  assert.equal(await value(db.pool, "select state from rouse.job"), "scheduled");
  assert.equal(await retry(waiting), true);
  assert.equal(await value(db.pool, "select state from rouse.job"), "ready");
  assert.equal(await retry(waiting), false, "a ready one");
  const again = await claimOne(db.pool, worker);
  assert.equal(again.attempt, 2);
  assert.equal(await retry(waiting), false, "a running one");
  await db.query("select rouse.complete_v1($1, $2)", [waiting, again.lease]);
  assert.equal(await retry(waiting), false, "a succeeded one");
  assert.equal(await retry("987654"), false, "none");
  assert.equal(await value(db.pool, "select rouse.retry(null)"), false);
  const future = await enqueue(db.pool, "mail", { delay: "1 hour" });
  assert.equal(await retry(future), false, "one that has not run yet");
  assert.equal(await value(db.pool, "select state from rouse.job"), "scheduled");
});

test("B15: retry of a job whose key was taken meanwhile is no error and makes no second job", async () => {
  const old = await failed("mail", { unique_key: "k" });
  const holder = await enqueue(db.pool, "mail", { unique_key: "k" });
  assert.equal(await retry(old), false);
  assert.deepEqual(await rows(db.pool, "select id from rouse.job"), [{ id: holder }]);
  assert.equal(await value(db.pool, "select state from rouse.archive"), "failed", "it can be retried later");
  await db.query("delete from rouse.job");
  assert.equal(await retry(old), true);
});

test("two sessions that retry the same job make one of it", async () => {
  const id = await failed("mail");
  const [one, two] = [await db.connect(), await db.connect()];
  await one.query("begin");
  assert.equal(await value(one, "select rouse.retry($1)", [id]), true);
  const pid = await pidOf(two);
  const second = value(two, "select rouse.retry($1)", [id]);
  await waitsForLock(db, pid);
  await one.query("commit");
  assert.equal(await second, false);
  assert.deepEqual(await rows(db.pool, "select id from rouse.jobs"), [{ id }]);
});

test("A22: purge leaves no trace of a job's payload anywhere", async () => {
  const secret = "4b1d-secret";
  const options = {
    payload: { secret },
    headers: { secret },
    tags: [secret],
    unique_key: secret,
    concurrency_key: secret,
  };
  const once = await enqueue(db.pool, "mail", { ...options, unique_period: "1 day" });
  assert.equal(await value(db.pool, "select rouse.purge($1)", [once]), true);
  const live = await enqueue(db.pool, "mail", options);
  assert.equal(await value(db.pool, "select rouse.purge($1)", [live]), true);
  const running = await enqueue(db.pool, "mail", options);
  const job = await claimOne(db.pool, worker);
  await db.query("select rouse.cancel($1)", [running]);
  assert.equal(await value(db.pool, "select rouse.purge($1)", [running]), true);
  const error = JSON.stringify({ message: secret, stack: secret });
  assert.equal(await value(db.pool, "select rouse.fail_v1($1, $2, $3)", [running, job.lease, error]), "stale");
  assert.equal(await value(db.pool, "select rouse.complete_v1($1, $2, $3)", [running, job.lease, error]), "stale");
  await declare(db.pool, { name: "mail", dead_letter: "undertaker" });
  const dead = await failed("mail", options);
  assert.equal(await value(db.pool, "select payload -> 'payload' ->> 'secret' from rouse.job"), secret, "a copy");
  await db.query("update rouse.attempt_error set message = $1, detail = $2", [secret, error]);
  const done = await enqueue(db.pool, "mail", options);
  const { lease } = await claimOne(db.pool, worker, { tasks: ["mail"] });
  const line = { at: new Date(), level: "info", message: secret, fields: { secret } };
  const note = { id: done, lease, progress: 0.5, message: secret, log: [line] };
  assert.equal(await value(db.pool, "select noted from rouse.note_v1($1)", [JSON.stringify([note])]), 1);
  await db.query("select rouse.complete_v1($1, $2, $3)", [done, lease, error]);
  // Statistics must not keep samples of what is gone.
  await db.query("analyze");
  for (const id of [dead, done]) assert.equal(await value(db.pool, "select rouse.purge($1)", [id]), true);
  assert.equal(await value(db.pool, "select rouse.purge($1)", [done]), false);
  // What is left of a key goes when a worker looks for jobs.
  await db.query("select rouse.admit()");

  const tables = await rows<{ name: string }>(
    db.pool,
    "select c.oid::regclass::text as name from pg_class c where relnamespace = 'rouse'::regnamespace and relkind in ('r', 'p')",
  );
  for (const { name } of [...tables, { name: "pg_statistic" }]) {
    assert.deepEqual(
      await rows(db.pool, `select t::text from ${name} as t where t::text like '%${secret}%'`),
      [],
      `traces in ${name}`,
    );
  }
});

test("A22: no statistics are kept of what belongs to a job alone, in partitions either", async () => {
  assert.deepEqual(
    await rows(
      db.pool,
      `select distinct c.relname, a.attname
       from pg_attribute as a
       join pg_class as c on c.oid = a.attrelid
       where c.relnamespace = 'rouse'::regnamespace
         and c.relkind in ('r', 'p')
         and (c.relname in ('job', 'progress') or c.relname ~ '^(archive|attempt_error|job_log)')
         and a.attname in ('payload', 'result', 'unique_key', 'coalesce_key', 'tags', 'headers', 'message', 'detail', 'fields')
         and a.attstattarget is distinct from 0`,
    ),
    [],
  );
});

test("A22: purge finds a job that a retry under way is moving back", async () => {
  const id = await failed("mail");
  const [retrying, purging] = [await db.connect(), await db.connect()];
  await retrying.query("begin");
  await retrying.query("select rouse.retry($1)", [id]);
  const pid = await pidOf(purging);
  const purged = value(purging, "select rouse.purge($1)", [id]);
  await waitsForLock(db, pid);
  await retrying.query("commit");
  assert.equal(await purged, true);
  assert.deepEqual(await rows(db.pool, "select id from rouse.jobs"), []);
});

test("A22: purge finds a job that is finishing under way", async () => {
  const id = await enqueue(db.pool, "mail");
  const { lease } = await claimOne(db.pool, worker);
  const [finishing, purging] = [await db.connect(), await db.connect()];
  await finishing.query("begin");
  await finishing.query("select rouse.complete_v1($1, $2)", [id, lease]);
  const pid = await pidOf(purging);
  const purged = value(purging, "select rouse.purge($1)", [id]);
  await waitsForLock(db, pid);
  await finishing.query("commit");
  assert.equal(await purged, true);
  assert.deepEqual(await rows(db.pool, "select id from rouse.jobs"), []);
});

test("A6, A16: declaring tasks again writes only what changed, and keeps their schema for SQL users", async () => {
  const schema = { type: "object", properties: { to: { type: "integer" } } };
  const mail = { name: "mail", queue: "post", payload_schema: schema, aliases: ["post_mail"] };
  const changed = async (...tasks: unknown[]) =>
    await value(db.pool, "select rouse.declare_tasks_v1($1)", [JSON.stringify(tasks)]);
  assert.equal(await changed(mail, { name: "sum" }), 2);
  const versions = () => rows(db.pool, "select name, xmin::text from rouse.task order by name");
  const before = await versions();
  assert.equal(await changed({ name: "sum" }, mail), 0);
  assert.deepEqual(await versions(), before);
  assert.equal(await changed(mail, { name: "sum", jitter: 0.5 }), 1);
  assert.deepEqual(await rows(db.pool, "select payload_schema, aliases, queue from rouse.task where name = 'mail'"), [
    { payload_schema: schema, aliases: ["post_mail"], queue: "post" },
  ]);
  assert.equal(await changed({ name: "mail" }), 1, "what is left out goes back to its default");
  assert.equal(await value(db.pool, "select queue from rouse.task where name = 'mail'"), "default");
});

test("A6: workers that declare the same tasks at once wait for each other and never in a circle", async () => {
  const tasks = Array.from({ length: 40 }, (_, n) => ({ name: `task ${n}` }));
  const clients = await Promise.all(Array.from({ length: 6 }, () => db.connect()));
  for (const jitter of [0.1, 0.2, 0.3]) {
    await Promise.all(
      clients.map((client, n) =>
        declare(client, ...(n % 2 ? tasks : tasks.toReversed()).map((task) => ({ ...task, jitter }))),
      ),
    );
  }
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.task where jitter::text = '0.3'"), 40);
});

test("A12: a worker that leaves gives back what it holds, its attempts uncounted, and no other's jobs", async () => {
  await db.query("select rouse.enqueue('mail') from generate_series(1, 5)");
  const other = await register(db.pool, "other");
  const kept = await claim(db.pool, other, { most: 2 });
  await claim(db.pool, worker, { most: 2 });
  assert.equal(await value(db.pool, "select rouse.deregister_v1($1)", [worker]), 2);
  assert.deepEqual(
    await rows(
      db.pool,
      "select state, worker_id, attempt, count(*)::integer as n from rouse.job group by 1, 2, 3 order by 1",
    ),
    [
      { state: "ready", worker_id: null, attempt: 0, n: 3 },
      { state: "running", worker_id: other, attempt: 1, n: kept.length },
    ],
  );
  assert.deepEqual(await rows(db.pool, "select id from rouse.worker"), [{ id: other }]);
  assert.equal(await value(db.pool, "select rouse.deregister_v1($1)", [worker]), 0);
});

test("B7: jobs claimed in an answer that was lost are given back, those the worker knows of are not", async () => {
  await db.query("select rouse.enqueue('mail') from generate_series(1, 3)");
  const [known] = await claim(db.pool, worker, { most: 3 });
  assert.equal(await value(db.pool, "select rouse.reconcile_v1($1, $2)", [worker, [known!.id]]), 2);
  assert.deepEqual(await rows(db.pool, "select id from rouse.job where state = 'running'"), [{ id: known!.id }]);
  assert.equal(await value(db.pool, "select rouse.reconcile_v1($1, '{}')", [worker]), 1);
});
