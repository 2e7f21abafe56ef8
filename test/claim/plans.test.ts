/**
 * The table of jobs empties and fills all day, so its statistics mean nothing: no function may read more of it than
 * the rows it is about, whatever ANALYZE saw last and whatever the table held when the session made its plan.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { declare, register, rows } from "../support/engine.ts";

const db = testDatabase();
const [taken, free] = ["k7", "new key"];
let session: pg.Client;
let worker: number;
let other: number;

/** Each in a transaction that is rolled back; jobs 1 to 40 run for the worker, 41 is scheduled, 42 in the archive. */
const calls: [title: string, sql: () => string][] = [
  ["claim_v1", () => `select * from rouse.claim_v1(${worker}, null, '{noop}', 10)`],
  ["claim_v1 of one queue", () => `select * from rouse.claim_v1(${worker}, '{bulk}', '{noop}', 10)`],
  ["exchange_v1", () => `select * from rouse.exchange_v1(${worker}, '{bulk,default,none}', '{noop}', 10)`],
  ["promote", () => "select rouse.promote()"],
  ["beat_v1", () => `select * from rouse.beat_v1(${worker})`],
  ["complete_many_v1", () => "select * from rouse.complete_many_v1('{1,2,3,50000}', array(select lease from held))"],
  ["complete_v1", () => "select rouse.complete_v1(1, (select lease from held where id = 1))"],
  ["fail_v1", () => "select rouse.fail_v1(1, (select lease from held where id = 1), null)"],
  ["fail_v1 for good", () => "select rouse.fail_v1(1, (select lease from held where id = 1), null, retry => false)"],
  [
    "fail_v1 with a dead letter",
    () =>
      "update rouse.task set dead_letter = 'dead'; select rouse.fail_v1(1, (select lease from held where id = 1), null, retry => false)",
  ],
  ["fail_v1, stale", () => "select rouse.fail_v1(1, gen_random_uuid(), null, wait => false)"],
  ["release_v1", () => "select rouse.release_v1(1, (select lease from held where id = 1))"],
  ["deregister_v1", () => `select rouse.deregister_v1(${other})`],
  ["reconcile_v1", () => `select rouse.reconcile_v1(${other}, '{}')`],
  ["sweep", () => `delete from rouse.worker where id = ${other}; select rouse.sweep()`],
  ["cancel of a waiting job", () => "select rouse.cancel(41)"],
  ["cancel of a running job", () => "select rouse.cancel(1)"],
  ["cancels_v1", () => `select rouse.cancel(1); select * from rouse.cancels_v1(${worker})`],
  ["note_v1", () => `select rouse.note_v1(jsonb_agg(to_jsonb(h) || '{"progress": 0.5}')) from held as h`],
  ["note_v1, ending", () => "select rouse.note_v1(jsonb_agg(to_jsonb(h)), true) from held as h"],
  ["reschedule", () => "select rouse.reschedule(41, delay => '1 hour')"],
  ["retry of a waiting job", () => "select rouse.retry(41)"],
  ["retry of a failed job", () => "select rouse.retry(42)"],
  ["result", () => "select rouse.result(1), rouse.result(42)"],
  ["await_v1", () => "select * from rouse.await_v1('{1,2,42}')"],
  ["purge", () => "select rouse.purge(1)"],
  ["enqueue", () => `select rouse.enqueue('noop', unique_key => '${free}')`],
  [
    "enqueue, key unique everywhere",
    () => `select rouse.enqueue('noop', unique_key => 'g7', unique_scope => 'global')`,
  ],
  ["enqueue, replacing", () => `select rouse.enqueue('noop', unique_key => '${free}', on_conflict => 'replace')`],
  ["enqueue, once a period", () => `select rouse.enqueue('noop', unique_key => '${free}', unique_period => '1 h')`],
  ["enqueue under a key", () => "select rouse.enqueue('noop', concurrency_key => 'hot')"],
  ["admit", () => "insert into rouse.arrival (lane) values ('key:hot'); select rouse.admit()"],
  ["repair_lanes", () => "select rouse.repair_lanes()"],
  ["expire", () => "select rouse.expire()"],
  ["enqueue, key taken", () => `select rouse.enqueue('noop', unique_key => '${taken}')`],
  [
    "enqueue_many",
    () => `select * from rouse.enqueue_many('[{"task": "noop"}, {"task": "noop", "unique_key": "${taken}"}]')`,
  ],
  [
    "INSERT of future jobs",
    () =>
      "insert into rouse.job (task, run_at) select 'noop', now() + i * interval '1 s' from generate_series(1, 20) i",
  ],
  ["INSERT", () => "insert into rouse.job (task) values ('noop')"],
];

async function fill(): Promise<void> {
  await db.query(
    `
    insert into rouse.job (id, task, queue, state, run_at, worker_id, lease, attempt)
    select i, 'noop', 'bulk', 'running', now(), $1, gen_random_uuid(), 1 from generate_series(1, 40) i`,
    [worker],
  );
  await db.query("insert into held select id, lease from rouse.job where id <= 3");
  await db.query(
    `
    insert into rouse.job (id, task, queue, state, run_at, worker_id, lease, attempt)
    select 100 + i, 'noop', 'bulk', 'running', now(), $1, gen_random_uuid(), 1 from generate_series(1, 3) i`,
    [other],
  );
  await db.query(`
    insert into rouse.job (id, task, queue, state, run_at, attempt)
    values (41, 'noop', 'bulk', 'scheduled', now() + interval '1 day', 1)`);
  await fillArchive(42, 5000);
  // B18: of these one may run, and no claim walks past the others.
  await db.query(`
    insert into rouse.job (id, task, queue, state, lane, concurrency_key)
    select 80000 + i, 'noop', 'bulk', 'blocked', 'key:hot', 'hot' from generate_series(1, 6000) i`);
  await db.query(`
    insert into rouse.job (id, task, queue, state, run_at, unique_key)
    select 60000 + i, 'noop', case when i % 2 = 0 then 'bulk' else 'default' end,
           case when i % 3 = 0 then 'scheduled' else 'ready' end,
           case when i % 3 = 0 then now() + interval '1 hour' else now() end, 'k' || i
    from generate_series(1, 12000) i`);
}

async function fillArchive(first: number, jobs: number): Promise<void> {
  await db.query(
    `insert into rouse.archive (id, run_at, created_at, finished_at, drop_on, priority, attempt, task, queue, state, payload)
     select i, now(), now(), now(), current_date + 2, 0, 1, 'noop', 'bulk', 'failed', '{}'
     from generate_series($1::integer, $1 + $2 - 1) i`,
    [first, jobs],
  );
}

async function readsOf(sql: string): Promise<{ whole: number; read: number }> {
  await session.query("begin");
  try {
    const before = await reads();
    await session.query(sql);
    const after = await reads();
    return { whole: after.whole - before.whole, read: after.read - before.read };
  } finally {
    await session.query("rollback");
  }
}

/** What the session has read and not reported yet, transactions that were rolled back included. */
async function reads(): Promise<{ whole: number; read: number }> {
  const [row] = await rows<{ whole: number; read: number }>(
    session,
    `select sum(seq_scan)::integer as whole, (sum(seq_tup_read) + sum(idx_tup_fetch))::integer as read
     from pg_stat_xact_user_tables
     where schemaname = 'rouse' and (relname = 'job' or relname ~ '^archive')`,
  );
  return row!;
}

async function checkAll(): Promise<void> {
  for (const [title, sql] of calls) {
    const { whole, read } = await readsOf(sql());
    assert.equal(whole, 0, `${title} scans a whole table`);
    assert.ok(read <= 60, `${title} reads ${read} rows`);
  }
}

test("plans made while the tables were nearly empty hold when they are full", async () => {
  await db.query("create table held (id bigint primary key, lease uuid)");
  await db.query("alter sequence rouse.job_id restart with 1000000");
  session = await db.connect();
  worker = await register(session);
  other = await register(session);
  await declare(session, { name: "noop" });
  await db.query("alter table rouse.job set (autovacuum_enabled = off)");
  await db.query("insert into rouse.job (id, task, queue, state) values (50, 'noop', 'none', 'blocked')");
  await fillArchive(50, 1);
  await db.query("vacuum analyze rouse.job, rouse.archive");
  // Seven times: from the sixth on a plan is kept, until the table is analyzed or truncated.
  for (const [, sql] of calls) for (let n = 0; n < 7; n++) await readsOf(sql());
  await fill();
  await checkAll();
});

test("plans made by statistics of another hour hold", async () => {
  // ANALYZE sees 20,000 jobs, all of them running; then they are gone.
  await db.query(
    `
    insert into rouse.job (task, queue, state, worker_id, lease)
    select 'noop', 'bulk', 'running', $1, gen_random_uuid() from generate_series(1, 20000)`,
    [other],
  );
  await db.query("analyze rouse.job");
  await db.query("truncate rouse.job, rouse.archive, held");
  await fill();
  await checkAll();
  session = await db.connect();
  await checkAll();

  // It sees all of them ready, in one queue.
  await db.query("update rouse.job set state = 'ready', queue = 'default', lease = null, worker_id = null");
  await db.query("analyze rouse.job");
  await db.query("truncate rouse.job, rouse.archive, held");
  await fill();
  session = await db.connect();
  await checkAll();
});
