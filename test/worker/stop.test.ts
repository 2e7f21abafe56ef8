import assert from "node:assert/strict";
import test from "node:test";
import { createRouse, defineTask, StoppedError } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { archived, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const liveJob = async (id: number) =>
  (await db.query("select state, attempt, worker_id from rouse.job where id = $1", [id]))[0];
const workers = async () => (await db.query("select from rouse.worker")).length;
const sessions = async () =>
  (
    await db.query(
      `select application_name from pg_stat_activity
       where datname = current_database() and application_name like 'rouse%'`,
    )
  ).length;

test("A12: stop() lets running handlers end, begins none, and gives back what was claimed ahead", async () => {
  const begun = new Tally<string>();
  const [holding, finish] = [new Latch(), new Latch()];
  const task = defineTask("drained", {
    run: async () => {
      begun.add("slow");
      holding.open();
      await finish.opened;
      return "ended";
    },
  });
  const quick = defineTask("quick", { run: () => begun.add("quick") });
  const rouse = rouseWith([task, quick]);
  await rouse.enqueueMany(Array.from({ length: 300 }, () => ({ task: quick, priority: 2 })));
  const { id } = await rouse.enqueue(task, undefined, { priority: 1 });
  await rouse.enqueueMany(Array.from({ length: 200 }, () => ({ task: quick })));
  const worker = await rouse.startWorker({ concurrency: 1 });
  // Not after 300 exactly: of two calls the one that got less urgent jobs may be answered first.
  await holding.opened;
  const before = begun.all.length;
  const stopped = worker.stop();
  assert.equal(worker.stop(), stopped, "stopping twice is stopping once");
  finish.open();
  await stopped;
  assert.equal((await archived(db, id))?.result, "ended");
  assert.equal(begun.all.length, before, "something was begun after stop()");
  await rouse.enqueue(quick);
  const back = await db.query("select distinct state, attempt from rouse.job");
  assert.deepEqual(back, [{ state: "ready", attempt: 0 }]);
  assert.equal(await workers(), 0);
  await db.query("delete from rouse.job");
});

test("A12: when the grace is over signals abort and jobs go back, attempts uncounted; what they still do changes nothing", async () => {
  const running = new Tally<AbortSignal>();
  const late = new Latch();
  const task = defineTask("graceless", {
    run: async (_payload, ctx) => {
      running.add(ctx.signal);
      if (running.all.length <= 2) await late.opened;
      return "late";
    },
  });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker({ grace: 500 });
  const jobs = await rouse.enqueueMany([{ task }, { task }]);
  await running.reach(2);
  const stopped = worker.stop();
  const status = async () => (await db.query("select status from rouse.workers"))[0]?.status;
  await until(async () => (await status()) === "stopping", { message: "the view workers says that it stops" });
  await stopped;
  for (const signal of running.all) assert.ok(signal.reason instanceof StoppedError);
  for (const { id } of jobs) assert.deepEqual(await liveJob(id), { state: "ready", attempt: 0, worker_id: null });
  late.open();
  const next = await rouse.startWorker();
  await running.reach(4);
  await next.drained();
  for (const { id } of jobs) assert.equal((await archived(db, id))?.attempt, 1);
});

test("A12: closed while it starts, a worker does not come up and leaves nothing behind", async () => {
  const rouse = rouseWith([]);
  const refused = assert.rejects(rouse.startWorker(), StoppedError);
  await rouse.close();
  await refused;
  await assert.rejects(rouse.startWorker(), /was closed/);
  assert.equal(await workers(), 0);
  await until(async () => (await sessions()) === 0, { message: "its sessions have ended" });
});

test("A12: closed while it starts and waits for a lock, a worker does not wait on", async () => {
  const client = await db.connect();
  await client.query("begin");
  await client.query("lock table rouse.task");
  const rouse = rouseWith([], { pool: db.pool });
  const stopped = assert.rejects(rouse.startWorker(), StoppedError);
  await until(
    async () =>
      (
        await db.query(
          "select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())",
        )
      ).length > 0,
    {
      message: "it waits for the lock",
    },
  );
  await rouse.close();
  await client.query("rollback");
  await stopped;
  assert.equal(await workers(), 0);
});

test("a worker that cannot start says why and leaves nothing running", async () => {
  const resources = () => process.getActiveResourcesInfo().length;
  const before = resources();
  const missing = createRouse({ connectionString: db.url, schema: "not_migrated", log: rouseWith([]).log });
  await assert.rejects(missing.startWorker(), /not_migrated/);
  await missing.close();
  const down = createRouse({ connectionString: "postgres://127.0.0.1:1/none", log: rouseWith([]).log });
  await assert.rejects(down.startWorker(), /ECONNREFUSED/);
  await down.close();
  await until(() => resources() <= before, { message: "nothing is left" });
});

test("A12, B13: stop() comes to an end while the database is out of reach; others find the worker dead", async () => {
  const proxy = await TcpProxy.start(db.url);
  try {
    const finish = new Latch();
    const running = new Tally<number>();
    const task = defineTask("cut", {
      run: (_payload, ctx) => {
        running.add(ctx.job.attempt);
        return finish.opened;
      },
    });
    const rouse = rouseWith([task], { connectionString: proxy.through(db.url) });
    const worker = await rouse.startWorker({ grace: 200 });
    await rouse.enqueue(task);
    await running.reach(1);
    proxy.cut();
    await worker.stop();
    await rouse.close();
    finish.open();
    assert.equal(await workers(), 1);
  } finally {
    await proxy.stop();
    await db.query("delete from rouse.job");
    await db.query("delete from rouse.worker");
  }
});

/** 100 take a while; ROUSE_CYCLES=100 does them all. */
const cycles = Number(process.env.ROUSE_CYCLES ?? 30);

test(`B20: ${cycles} times started and stopped, workers leak no session, timer or listener`, async () => {
  const task = defineTask("cycled", { run: () => {} });
  const counted = async () => {
    await until(async () => (await sessions()) === 0, { message: "all sessions have ended" });
    return [
      ...process.getActiveResourcesInfo(),
      ...process.eventNames().flatMap((name) => process.listeners(name as never)),
    ].length;
  };
  const cycle = async () => {
    const rouse = rouseWith([task]);
    await Promise.all(Array.from({ length: 5 }, () => rouse.startWorker()));
    await rouse.enqueue(task);
    await rouse.close();
  };
  await cycle();
  const before = await counted();
  for (let n = 0; n < cycles; n += 5) await cycle();
  await until(async () => (await counted()) <= before, { message: `no more than ${before} things are left` });
  assert.equal(await workers(), 0);
});

test("B20: stop() under constant inserts leaves nothing running", async () => {
  const done = new Tally<number>();
  const task = defineTask("flood", { keep: { succeeded: 0 }, run: (_payload, ctx) => done.add(ctx.job.id) });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  const client = await db.connect();
  let inserting = true;
  let inserted = 0;
  const inserts = (async () => {
    for (; inserting; inserted += 20) {
      await client.query("insert into rouse.job (task) select 'flood' from generate_series(1, 20)");
    }
  })();
  await done.reach(500);
  await worker.stop();
  const ran = done.all.length;
  assert.deepEqual(await db.query("select from rouse.job where state = 'running'"), []);
  assert.equal(await workers(), 0);
  const then = inserted;
  await until(() => inserted > then + 100, { message: "inserts have gone on" });
  inserting = false;
  await inserts;
  assert.equal(done.all.length, ran, "something still runs");
  const [left] = await db.query<{ jobs: number }>(
    "select count(*)::int as jobs from rouse.job where task = 'flood' and state = 'ready' and attempt = 0",
  );
  assert.equal(left!.jobs, inserted - ran);
});
