import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import test from "node:test";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { beats, blindBeats, shortLease, terminate, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
/** For a test that spoils it for those after it. */
const spoilt = testDatabase();
const spoiltWith = useRouse(spoilt);

const started = () => {
  const tally = new Tally<number>();
  return { tally, task: defineTask("mail", { run: (_payload, ctx) => tally.add(ctx.job.id) }) };
};

test("A8, B1: an idle worker starts a job at its commit, not before, and without a beat having a part in it", async () => {
  const { tally, task } = started();
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const client = await db.connect();

  // A beat may fall into it; then the try says nothing.
  for (let quiet = false; !quiet; ) {
    const before = await beats(db);
    await client.query("begin");
    const ran = tally.all.length;
    const { id } = await rouse.enqueue(task, undefined, { client });
    await rouse.enqueue(task, undefined, { queue: "other" });
    await tally.reach(ran + 1);
    assert.ok(!tally.all.includes(id), "started before the commit");
    await client.query("commit");
    await tally.reach(ran + 2);
    assert.ok(tally.all.includes(id));
    quiet = (await beats(db)) === before;
  }
});

test("A8: a job enqueued while no worker was up runs when one comes", async () => {
  const { tally, task } = started();
  const rouse = rouseWith([task]);
  const { id } = await rouse.enqueue(task);
  await rouse.startWorker();
  assert.deepEqual(await tally.reach(1), [id]);
});

test("A8: a job whose notification was lost starts with the next beat", async () => {
  const { tally, task } = started();
  await shortLease(db);
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  await worker.drained();
  const client = await db.connect();
  await client.query("set session_replication_role = replica"); // no trigger, so no NOTIFY
  const { rows } = await client.query("insert into rouse.job (task) values ('mail') returning id::int");
  assert.deepEqual(await tally.reach(1), [rows[0].id]);
});

test("A8: a delayed job whose notification was lost starts without another beat: one told of it", async () => {
  const { tally, task } = started();
  await shortLease(spoilt);
  const worker = await spoiltWith([task]).startWorker();
  await worker.drained();
  const client = await spoilt.connect();
  await client.query("set session_replication_role = replica");
  const { rows } = await client.query(
    `insert into rouse.job (task, state, run_at)
     values ('mail', 'scheduled', clock_timestamp() + interval '3 seconds')
     returning id::int`,
  );
  const before = await beats(spoilt);
  await until(async () => (await beats(spoilt)) > before + 1, { message: "a beat has begun and ended since" });
  await blindBeats(spoilt);
  assert.deepEqual(await tally.reach(1), [rows[0].id]);
});

test("A8, B14: a job enqueued while the listener was cut off starts, and the listener comes back", async () => {
  const { tally, task } = started();
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  await worker.drained();
  const again = rouse.log.next(/^listening again/);
  const client = await db.connect();
  await client.query("begin");
  const { id } = await rouse.enqueue(task, undefined, { client });
  assert.equal(await terminate(db, "rouse listener"), 1);
  await rouse.log.line(/^not listening/);
  await client.query("commit");
  assert.deepEqual(await tally.reach(1), [id]);
  await again;
  assert.equal(rouse.log.matching(/^not listening/).length, 1);
});

test("A8, B14: a listener whose connection only looks alive is found out by the probe of a beat", async () => {
  const { tally, task } = started();
  const proxy = await TcpProxy.start(db.url);
  try {
    const rouse = rouseWith([task], { connectionString: proxy.through(db.url) });
    const worker = await rouse.startWorker();
    await worker.drained();
    proxy.silence("rouse listener");
    await rouse.log.line(/^not listening/);
    await rouse.log.line(/^listening again/);
    await rouse.enqueue(task);
    await tally.reach(1);
    await rouse.close();
  } finally {
    await proxy.stop();
  }
});

test("A10: a web request that starts a long task is answered while the task runs", async () => {
  const running = new Latch();
  const finish = new Latch();
  const report = defineTask("report", {
    run: async () => {
      running.open();
      await finish.opened;
    },
  });
  const rouse = rouseWith([report]);
  const worker = await rouse.startWorker();
  const server = http.createServer(async (_request, response) => {
    response.end(String((await rouse.enqueue(report)).id));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    assert.ok(Number(await response.text()) > 0);
    await running.opened;
    assert.equal(worker.running, 1);
  } finally {
    finish.open();
    server.close();
  }
});

test("A11: enqueued in a transaction it runs after the commit, and not after a rollback, to a savepoint or of all", async () => {
  const { tally, task } = started();
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  const client = await db.connect();

  await client.query("begin");
  await rouse.enqueue(task, undefined, { client });
  await client.query("rollback");

  await client.query("begin");
  const first = await rouse.enqueue(task, undefined, { client });
  await client.query("savepoint s");
  await rouse.enqueue(task, undefined, { client });
  await client.query("rollback to savepoint s");
  const last = await rouse.enqueue(task, undefined, { client });
  await client.query("commit");

  await tally.reach(2);
  await worker.drained();
  assert.deepEqual(tally.all, [first.id, last.id]);
  assert.deepEqual(await db.query("select from rouse.job"), []);
});
