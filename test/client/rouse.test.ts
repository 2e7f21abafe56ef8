import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate } from "node:timers/promises";
import pg from "pg";
import { ConfigError, createRouse, defineTask, type WorkerOptions } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { archived, useRouse } from "../worker/support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

test("createRouse refuses bad options by name, and connects only when it is used", () => {
  const bare = () => defineTask("twice", { run: () => {} });
  const unconnected = new pg.Pool({ connectionString: "postgres://127.0.0.1:1/none" });
  const cases: [options: Record<string, unknown>, message: RegExp][] = [
    [{ conectionString: "x" }, /unknown option "conectionString" for createRouse: options are connectionString, /],
    [{ pool: unconnected, connectionString: "x" }, /both pool and connectionString/],
    [{ tasks: [{}] }, /not a task made by defineTask/],
    [{ tasks: [bare(), bare()] }, /the task name "twice" is taken twice/],
    [
      { tasks: [defineTask("a", { aliases: ["b"], run: () => {} }), defineTask("b", { run: () => {} })] },
      /"b" is taken twice/,
    ],
  ];
  for (const [options, message] of cases) {
    assert.throws(
      () => createRouse(options),
      (error) => error instanceof ConfigError && message.test(error.message),
    );
  }
  const task = bare();
  createRouse({ connectionString: "postgres://127.0.0.1:1/none", tasks: [task, task] });
});

test("startWorker refuses bad options by name", async () => {
  const rouse = rouseWith([]);
  const cases: [options: WorkerOptions, message: RegExp][] = [
    [{ concurrency: 0 }, /concurrency 0 is not a whole number from 1 to 10000/],
    [{ concurrency: 1.5 }, /concurrency 1.5/],
    [{ queues: [] }, /queues \[\] is not a list of names/],
    [{ queues: [""] }, /queues \[""\]/],
    [{ grace: "soon" }, /grace "soon" is not a duration/],
    [{ concurency: 3 } as WorkerOptions, /unknown option "concurency" for startWorker/],
  ];
  for (const [options, message] of cases) await assert.rejects(rouse.startWorker(options), message);
});

test("a pool that was given stays open, one of its own is closed; closing twice is closing once", async () => {
  const pool = new pg.Pool({ connectionString: db.url });
  try {
    {
      await using rouse = createRouse({ pool, log: new TestLog() });
      await rouse.enqueue("any");
    }
    await pool.query("select 1");
  } finally {
    await pool.end();
  }
  const rouse = rouseWith([]);
  await rouse.enqueue("any");
  await Promise.all([rouse.close(), rouse.close()]);
  await assert.rejects(rouse.enqueue("any"));
});

test("A12: close() comes to an end though the network swallows everything, calls under way with it, and leaves nothing open", async () => {
  const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
  const proxy = await TcpProxy.start(db.url);
  const before = sockets();
  const rouse = createRouse({ connectionString: proxy.through(db.url), log: new TestLog() });
  try {
    await Promise.all([rouse.enqueue("any"), rouse.enqueue("any")]);
    proxy.stall();
    // On one of the two connections; the other one rests, and nobody hears its farewell.
    const swallowed = assert.rejects(rouse.enqueue("any"), /terminated/);
    await setImmediate();
    await rouse.close();
    await swallowed;
  } finally {
    await proxy.stop();
  }
  await until(() => sockets() <= before, { message: "no connection is left" });
});

test("an idle connection that the server ends is replaced, of a given pool as of one of its own", async () => {
  const pool = new pg.Pool({ connectionString: db.url });
  for (const rouse of [rouseWith([]), rouseWith([], { pool })]) {
    await rouse.enqueue("any");
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and query like '%enqueue_many%'`,
    );
    await rouse.log.line(/^an idle connection was lost/);
    await rouse.enqueue("any");
  }
  await pool.end();
});

test("A22: a renamed task keeps its queued jobs, and takes jobs under either name", async () => {
  const before = rouseWith([]);
  const old = await before.enqueue("old_name", { n: 1 });
  const seen = new Latch<string>();
  const task = defineTask("new_name", {
    aliases: ["old_name"],
    retry: { maxAttempts: 2, backoff: "fixed", base: 0 },
    run: (_payload, ctx) => {
      if (ctx.job.attempt === 1) throw new Error("once");
      seen.open(ctx.job.task);
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  assert.equal(await seen.opened, "old_name");
  const job = await until(() => archived(db, old.id), { message: "the old job is finished" });
  assert.deepEqual([job?.state, job?.attempt], ["succeeded", 2]);
  for (const name of ["old_name", "new_name"]) {
    const { id } = await rouse.enqueue(name);
    assert.equal((await until(() => archived(db, id), { message: `${name} is finished` }))?.state, "succeeded");
  }
});

test("a task made by another copy of the package is a task", async () => {
  const { defineTask: defineThere } = await import(`../../src/tasks/define-task.js?copy=${Date.now()}`);
  const done = new Latch();
  const task = defineThere("foreign", { run: () => done.open() });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  await rouse.enqueue("foreign");
  await done.opened;
});

test("a logger that throws harms nothing", async () => {
  const done = new Latch();
  const task = defineTask("logging", {
    retry: { backoff: "fixed", base: 0 },
    run: (_payload, ctx) => {
      ctx.log.info("hello");
      if (ctx.job.attempt === 1) throw new Error("logged as failed");
      done.open();
    },
  });
  const fail = () => {
    throw new Error("the disk of the log is full");
  };
  await using rouse = createRouse({
    connectionString: db.url,
    tasks: [task],
    log: { debug: fail, info: fail, warn: fail, error: fail },
  });
  await rouse.startWorker();
  await rouse.enqueue(task);
  await done.opened;
});
