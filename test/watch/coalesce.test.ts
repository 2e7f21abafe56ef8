import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { setUp, takeJobs, takePayloads, watch } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;

setUp(
  database,
  `create table orders (id integer primary key, customer integer, total integer not null default 0);
   insert into rouse.task (name, backoff, backoff_base, max_attempts) values ('index', 'fixed', '1 hour', 2)`,
);

afterEach(async () => {
  // A test that failed may have left a transaction open.
  await query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state like 'idle in%'",
  );
  await query("select rouse.unwatch(name) from rouse.watch");
  await query("truncate orders, rouse.job, rouse.archive");
});

const watchOrders = (options: Record<string, unknown> = {}) =>
  watch(pool, "orders", { task: "index", coalesce_key: "key", payload: "row", ...options });

type Claimed = { id: string; lease: string; payload: { total: number }; attempt: number };

async function claim(most = 1): Promise<Claimed[]> {
  const [{ worker }] = (await query("select rouse.register_v1('test') as worker")) as [{ worker: number }];
  return await query<Claimed>("select id, lease, payload, attempt from rouse.claim_v1($1, most => $2)", [worker, most]);
}

async function claimOne(): Promise<Claimed> {
  const [job, ...others] = await claim();
  assert.ok(job);
  assert.deepEqual(others, []);
  return job;
}

async function outcome(sql: string, job: Claimed, on: pg.ClientBase | pg.Pool = pool): Promise<string> {
  const { rows } = await on.query(`select ${sql} as outcome`, [job.id, job.lease]);
  return rows[0].outcome;
}

const fail = `rouse.fail_v1($1, $2, '{"message": "no"}')`;

test("C6: 1,000 updates of a row while its job waits leave one job that sees the last value", async () => {
  await query("insert into orders (id) values (1), (2)");
  await watchOrders();
  const client = await database.connect();
  for (let total = 1; total <= 1000; total++) await client.query("update orders set total = $1 where id = 1", [total]);
  await client.query("update orders set total = -1 where id = 2");
  const jobs = await takeJobs(database);
  assert.deepEqual(
    jobs.map(({ payload, coalesce_key }) => [payload, coalesce_key]),
    [
      [{ id: 1, customer: null, total: 1000 }, "1"],
      [{ id: 2, customer: null, total: -1 }, "2"],
    ],
  );
});

test("C6: a statement that meets a key several times leaves its last row", async () => {
  await watchOrders({ coalesce_key: "new.customer", events: ["insert"], payload: "new.id" });
  await query("insert into orders select n, n % 3 from generate_series(1, 20) as n");
  await query("insert into orders values (21, 1), (22, null), (23, null)");
  assert.deepEqual((await takePayloads(database)).sort(), [18, 20, 21, 22, 23]);
});

test("C6: the job keeps its place, and takes payload and context of the last change", async () => {
  await watchOrders({ context: ["app.trace"], delay: "1 hour", priority: "new.total" });
  const client = await database.connect();
  await client.query("set app.trace = 'a'; insert into orders values (1, null, 5)");
  const [before] = await query("select id, run_at, priority from rouse.job");
  await client.query("set app.trace = 'b'; update orders set total = 6");
  const [job] = await query("select id, run_at, priority, payload -> 'total' as total, headers from rouse.job");
  assert.deepEqual(job, { ...before, total: 6, headers: { "app.trace": "b" } });
});

test("C6: a change that comes while the job runs makes a new one", async () => {
  await watchOrders();
  await query("insert into orders values (1)");
  const running = await claimOne();
  await query("update orders set total = 1");
  await query("update orders set total = 2");
  const [waiting] = await query("select payload -> 'total' as total from rouse.job where state = 'ready'");
  assert.deepEqual(waiting, { total: 2 });
  assert.equal(await outcome("rouse.complete_v1($1, $2)", running), "succeeded");
  assert.equal((await claimOne()).payload.total, 2);
});

test("C6: an attempt that fails while a newer job waits ends superseded, without an error", async () => {
  await watchOrders();
  await query("insert into orders values (1)");
  const running = await claimOne();
  await query("update orders set total = 1");
  assert.equal(await outcome(fail, running), "cancelled");
  const [newer, ...others] = await query<{ id: string; state: string }>("select id, state from rouse.job");
  assert.deepEqual([newer?.state, others], ["ready", []]);
  assert.deepEqual(await query("select state, attempt, result from rouse.archive where id = $1", [running.id]), [
    { state: "cancelled", attempt: 1, result: { superseded_by: Number(newer?.id) } },
  ]);
  assert.deepEqual(await query("select message from rouse.attempt_error where job_id = $1", [running.id]), [
    { message: "no" },
  ]);
});

test("C6: so does one that is given back, in an exchange too, and one of a dead worker", async () => {
  await watchOrders();
  await query("insert into orders values (1), (2), (3)");
  const [first, second, third] = await claim(3);
  assert.ok(first && second && third);
  await query("update orders set total = 1");
  assert.equal(await outcome("rouse.release_v1($1, $2)", first), "cancelled");
  const exchanged = await query(
    `select outcome, id from rouse.exchange_v1(1, null, null, 0, releases => jsonb_build_array(jsonb_build_object('id', $1::bigint, 'lease', $2::uuid)))
     where id is not null`,
    [second.id, second.lease],
  );
  assert.deepEqual(exchanged, [{ outcome: "cancelled", id: second.id }]);
  const dead = await query<{ worker: number }>("select worker_id as worker from rouse.job where id = $1", [third.id]);
  await query(
    "select rouse.sweep(jsonb_build_array(jsonb_build_object('id', id, 'beats', beats))) from rouse.worker where id = $1",
    [dead[0]?.worker],
  );
  assert.deepEqual(await query("select count(*)::integer, array_agg(distinct state) as states from rouse.job"), [
    { count: 3, states: ["ready"] },
  ]);
  assert.deepEqual(await query("select count(*)::integer from rouse.archive where state = 'cancelled'"), [
    { count: 3 },
  ]);
});

test("C6: one that fails with no newer job waits for its retry and takes what comes", async () => {
  await watchOrders();
  await query("insert into orders values (1)");
  assert.equal(await outcome(fail, await claimOne()), "scheduled");
  await query("update orders set total = 7");
  assert.deepEqual(await query("select state, attempt, payload -> 'total' as total from rouse.job"), [
    { state: "scheduled", attempt: 1, total: 7 },
  ]);
});

test("C6: a worker waits for no open transaction that may be adding a newer job", async () => {
  await watchOrders();
  await query("insert into orders values (1)");
  const running = await claimOne();
  const client = await database.connect();
  await client.query("begin; update orders set total = 1");
  const busy = `rouse.fail_v1($1, $2, '"no"', wait => false)`;
  assert.equal(await outcome(busy, running), "busy");
  assert.equal(await outcome("rouse.release_v1($1, $2, false)", running), "busy");
  assert.deepEqual(await query("select state, attempt from rouse.job"), [{ state: "running", attempt: 1 }]);
  assert.deepEqual(await query("select from rouse.attempt_error where job_id = $1", [running.id]), []);
  await client.query("commit");
  assert.equal(await outcome(busy, running), "cancelled");

  const next = await claimOne();
  await client.query("begin; update orders set total = 2");
  assert.equal(await outcome(busy, next), "busy");
  await client.query("rollback");
  assert.equal(await outcome(busy, next), "scheduled");
  assert.deepEqual(await query("select current_setting('lock_timeout')"), [{ current_setting: "0" }]);
});

test("C6: retry of a finished job gives way to one that waits", async () => {
  await watchOrders();
  await query("insert into orders values (1)");
  const job = await claimOne();
  assert.equal(await outcome(`rouse.fail_v1($1, $2, '"no"', false)`, job), "failed");
  await query("update orders set total = 1");
  assert.deepEqual(await query("select rouse.retry($1) as retried", [job.id]), [{ retried: false }]);
  await query("delete from rouse.job");
  assert.deepEqual(await query("select rouse.retry($1) as retried", [job.id]), [{ retried: true }]);
  await query("update orders set total = 2");
  assert.deepEqual(await query("select id, payload -> 'total' as total from rouse.job"), [{ id: job.id, total: 2 }]);
});

test("C6: writers and claimers together never make two jobs wait, and the last value is seen", async () => {
  await watchOrders();
  await query("insert into orders select n from generate_series(1, 5) as n");
  const seen = new Map<number, number>();
  let writing = true;
  const writer = async (seed: number) => {
    const client = await database.connect();
    for (let n = 0; n < 150; n++) {
      await client.query("update orders set total = total + 1 where id = $1", [((n * seed) % 5) + 1]);
    }
  };
  const worker = async () => {
    for (let idle = 0; writing || idle < 2; ) {
      const jobs = await claim(3);
      idle = jobs.length === 0 ? idle + 1 : 0;
      for (const job of jobs) {
        const { id, total } = job.payload as unknown as { id: number; total: number };
        // Each third value is given back the first time.
        const giveBack = total % 3 === 0 && seen.get(id) !== total;
        seen.set(id, Math.max(seen.get(id) ?? 0, total));
        await outcome(giveBack ? "rouse.release_v1($1, $2)" : "rouse.complete_v1($1, $2)", job);
      }
    }
  };
  const workers = [worker(), worker()];
  await Promise.all([writer(1), writer(2), writer(3)]).finally(() => (writing = false));
  await Promise.all(workers);
  const orders = await query<{ id: number; total: number }>("select id, total from orders order by id");
  assert.deepEqual(
    orders.filter(({ id, total }) => seen.get(id) !== total),
    [],
  );
});
