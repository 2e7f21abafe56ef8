import assert from "node:assert/strict";
import test, { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { defineTask } from "../../src/index.ts";
import { migrate } from "../../src/migrate/index.ts";
import { project, rouse as runRouse } from "../cli/support.ts";
import { testDatabase } from "../support/database.ts";
import { PGBOUNCER, type PgBouncer, startPgBouncer } from "../support/pgbouncer.ts";
import { until } from "../support/until.ts";
import { archived, beats, settle, useRouse } from "../worker/support.ts";

const skip = PGBOUNCER === undefined && "PgBouncer is not installed (Debian: apt-get install pgbouncer)";
const db = testDatabase();
const rouse = useRouse(db);

const running: Promise<PgBouncer>[] = [];
after(async () => {
  for (const bouncer of running) await (await bouncer).stop();
});

/** A PgBouncer with few connections, none of which lasts, so that nothing that needs a session goes well by chance. */
async function pooler(mode: "transaction" | "session"): Promise<PgBouncer> {
  const started = startPgBouncer(db.url, mode, {
    default_pool_size: mode === "transaction" ? 3 : 50,
    server_idle_timeout: 1,
    server_check_delay: 0,
  });
  running.push(started);
  return await started;
}

async function workers(): Promise<{ status: string; holds_lock: boolean }[]> {
  return await db.query(
    "select v.status, w.holds_lock from rouse.workers as v join rouse.worker as w on w.id = v.id order by w.id",
  );
}

const quick = defineTask("quick", { run: async () => {} });
const long = defineTask("long", {
  async run(_payload, ctx) {
    await sleep(6_000, undefined, { signal: ctx.signal });
  },
});
const transacted = defineTask("transacted", {
  run: (_payload, ctx) =>
    ctx.transaction(async (client) => {
      await client.query("insert into effect (job) values ($1)", [ctx.job.id]);
      return "done";
    }),
});

test("B22: a worker behind PgBouncer with only the listener and the heartbeat direct works as without", {
  skip,
}, async () => {
  await db.query("create table effect (job bigint)");
  const bouncer = await pooler("transaction");
  const client = rouse([quick, transacted], {
    connectionString: bouncer.url(db.url),
    directConnectionString: db.url,
  });
  const worker = await client.startWorker({ concurrency: 20 });
  const sessions = await db.query<{ name: string }>(
    `select application_name as name from pg_stat_activity
     where datname = current_database() and application_name like 'rouse %' order by 1`,
  );
  assert.deepEqual(
    sessions.map(({ name }) => name),
    ["rouse heartbeat", "rouse listener"],
  );

  // Woken by its notification: no beat came between.
  await until(
    async () => {
      await sleep(300);
      const [before, started] = [await beats(db), performance.now()];
      const { id } = await client.enqueue(quick);
      await until(async () => (await archived(db, id)) !== undefined, { message: "the job has run" });
      return (await beats(db)) === before && performance.now() - started < 900;
    },
    { message: "a job has run between two beats" },
  );

  const many = await client.enqueueMany(
    Array.from({ length: 300 }, (_, n) => ({ task: n % 2 === 0 ? quick : transacted })),
  );
  await worker.drained();
  const [effects] = await db.query("select count(*)::integer as all, count(distinct job)::integer as jobs from effect");
  assert.deepEqual(effects, { all: 150, jobs: 150 });
  const [done] = await db.query(
    "select count(*)::integer as done from rouse.archive where state = 'succeeded' and attempt = 1 and id = any ($1)",
    [many.map(({ id }) => id)],
  );
  assert.deepEqual(done, { done: 300 });
  assert.deepEqual(await workers(), [{ status: "running", holds_lock: true }]);
  await worker.stop();
  assert.deepEqual(await workers(), []);
  assert.deepEqual(
    client.log.lines.filter(({ level }) => level === "warn" || level === "error"),
    [],
  );
});

test("B22: enqueueing through PgBouncer commits and rolls back with the caller's transaction", { skip }, async () => {
  const bouncer = await pooler("transaction");
  const client = rouse([quick], { connectionString: bouncer.url(db.url) });
  const own = new pg.Client({ connectionString: bouncer.url(db.url) });
  await own.connect();
  await own.query("begin");
  const lost = await client.enqueue(quick, undefined, { client: own, uniqueKey: "lost" });
  await own.query("rollback");
  await own.query("begin");
  const kept = await client.enqueue(quick, undefined, { client: own, delay: "1h" });
  await own.query("commit");
  await own.end();
  const ids = await db.query<{ id: string }>("select id from rouse.job where id = any ($1)", [[lost.id, kept.id]]);
  assert.deepEqual(ids, [{ id: String(kept.id) }]);
});

test("B22: without a direct address a worker polls, says so once, and is not taken for dead", { skip }, async () => {
  await settle(db);
  const bouncer = await pooler("transaction");
  const options = { connectionString: bouncer.url(db.url) };
  const client = rouse([quick, long], options);
  const other = rouse([quick], options);
  const worker = await client.startWorker({ name: "behind" });
  await other.startWorker({ name: "beside" });
  const running = await client.enqueue(long);
  await client.log.line(/looking for jobs every second/);
  await until(async () => (await workers()).every(({ status }) => status === "polling"), {
    message: "both workers tell that they poll",
  });
  for (let n = 0; n < 3; n++) {
    const started = performance.now();
    const { id } = await client.enqueue(quick);
    await until(async () => (await archived(db, id)) !== undefined, { message: "the job has run" });
    assert.ok(performance.now() - started < 2_500, `job ${n} ran after ${performance.now() - started} ms`);
  }
  const delayed = await client.enqueue(quick, undefined, { delay: "1500ms" });
  await until(async () => (await archived(db, delayed.id)) !== undefined, { message: "the delayed job has run" });

  // Its beats are 2 s apart and connections end after one second: a lock would have been lost with them.
  await until(async () => (await archived(db, running.id)) !== undefined, { message: "the long job has ended" });
  assert.equal((await archived(db, running.id))?.attempt, 1);
  assert.deepEqual(await workers(), [
    { status: "polling", holds_lock: false },
    { status: "polling", holds_lock: false },
  ]);
  const warnings = client.log.lines.filter(({ level }) => level === "warn" || level === "error");
  assert.equal(warnings.length, 1, JSON.stringify(warnings));
  assert.match(warnings[0]!.message, /directConnectionString, ROUSE_DIRECT_URL/);
  await worker.stop();
});

test("B22: through a pooler in session mode a worker hears and holds its lock", { skip }, async () => {
  const bouncer = await pooler("session");
  const client = rouse([quick], { connectionString: bouncer.url(db.url) });
  const worker = await client.startWorker();
  await until(async () => (await workers())[0]?.holds_lock, { message: "the worker holds its lock" });
  const { id } = await client.enqueue(quick);
  await until(async () => (await archived(db, id)) !== undefined, { message: "the job has run" });
  assert.deepEqual(await workers(), [{ status: "running", holds_lock: true }]);
  await worker.stop();
});

test("B22: rouse worker takes the direct address from ROUSE_DIRECT_URL, and rouse migrate uses it", {
  skip,
}, async () => {
  const bouncer = await pooler("transaction");
  const folder = await project({
    "tasks.ts": `import { defineTask } from "rouse";
      export const hello = defineTask("hello", { run: async () => "hello" });`,
  });
  const environment = { DATABASE_URL: bouncer.url(db.url), ROUSE_DIRECT_URL: db.url };
  assert.match((await runRouse(["migrate"], { folder, environment })).stdout, /as it was before/);
  const [job] = await db.query<{ id: string }>("select rouse.enqueue('hello') as id");
  const { code, stderr } = await runRouse(["worker", "--once"], { folder, environment });
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /pooler/);
  assert.equal((await archived(db, Number(job!.id)))?.result, "hello");
  // Through the pooler alone too.
  await migrate({ connectionString: bouncer.url(db.url) });
});
