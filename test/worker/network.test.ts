import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { defineTask, type Rouse, StaleAttemptError } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { withMovingName } from "../support/moving-name.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { archived, beats, errorsOf, held, settle, shortLease, throughProxy, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });

/** Starts a worker whose lease is the shortest, and waits until it knows that. */
async function startKnowingLease(rouse: Rouse): Promise<void> {
  await shortLease(db);
  await settle(db);
  await rouse.startWorker();
  const newest = () => db.query<{ beats: number }>("select beats::int from rouse.worker order by id desc limit 1");
  await until(async () => (await newest())[0]!.beats > 2, { message: "a beat has told it the lease" });
}

test("B13, B14: connections of the exchange that swallow everything are given up within a lease, and what has finished is told", async () => {
  await throughProxy(db, async (proxy, url) => {
    const { running, finish, task } = held();
    const rouse = rouseWith([task], { connectionString: url });
    await startKnowingLease(rouse);
    const { id } = await rouse.enqueue(task);
    await running.reach(1);
    proxy.silence("application_name\0rouse\0");
    finish.open("kept");
    await rouse.log.line(/^cannot get through to the database/);
    const job = await finished(id);
    assert.deepEqual([job?.state, job?.attempt, job?.result], ["succeeded", 1, "kept"]);
    const [next] = await db.query<{ id: number }>("select rouse.enqueue('held')::int as id");
    assert.equal((await finished(next!.id))?.attempt, 1);
    assert.equal(rouse.log.matching(/^cannot get through/).length, 1);
    assert.equal(rouse.log.matching(/heartbeat|taken for dead|listening/).length, 0, "the other connections were well");
    await rouse.close();
  });
});

test("B7, B14: a heartbeat whose connection swallows everything is back before its worker is taken for dead", async () => {
  await throughProxy(db, async (proxy, url) => {
    const { running, finish, task } = held();
    const [rouse, watcher] = [rouseWith([task], { connectionString: url }), rouseWith([])];
    await startKnowingLease(rouse);
    await watcher.startWorker();
    const { id } = await rouse.enqueue(task);
    await running.reach(1);
    proxy.silence("rouse heartbeat");
    await rouse.log.line(/^the heartbeat has lost the database/);
    await rouse.log.line(/^the heartbeat is back/);
    const then = await beats(db);
    await until(async () => (await beats(db)) >= then + 16, { message: "both have beaten for longer than a lease" });
    finish.open(undefined);
    assert.equal((await finished(id))?.attempt, 1);
    assert.equal(rouse.log.matching(/taken for dead/).length, 0);
  });
});

test("B7: a worker claims nothing while its heartbeat has no connection, and goes on when it has one again", async () => {
  await throughProxy(db, async (proxy, url) => {
    const { running, finish, task } = held();
    const rouse = rouseWith([task], { directConnectionString: url });
    await rouse.startWorker({ concurrency: 1 });
    const [first, second] = await rouse.enqueueMany([{ task }, { task }]);
    await running.reach(1);
    proxy.cut();
    await rouse.log.line(/^the heartbeat has lost the database/);
    // Its end goes to the database with the call that would claim the other one.
    finish.open(undefined);
    await finished(first!.id);
    assert.deepEqual(await db.query("select id::int, state from rouse.job"), [{ id: second!.id, state: "ready" }]);
    proxy.restore();
    assert.equal((await finished(second!.id))?.attempt, 1);
    await rouse.close();
  });
});

test("B8, B13: behind a network that swallows everything for longer than the lease, jobs run elsewhere; when it is back the late end is refused", async () => {
  await throughProxy(db, async (proxy, url) => {
    const { running, finish, task } = held();
    const rouse = rouseWith([task], { connectionString: url });
    await startKnowingLease(rouse);
    const { id } = await rouse.enqueue(task);
    const [first] = await running.reach(1);
    const aborted = new Promise((resolve) =>
      first!.signal.addEventListener("abort", () => resolve(first!.signal.reason)),
    );
    const rescuer = rouseWith([task]);
    await rescuer.startWorker();
    proxy.stall();
    const [, second] = await running.reach(2);
    assert.deepEqual([second!.job.id, second!.job.attempt], [id, 2]);
    proxy.resume();
    assert.ok((await aborted) instanceof StaleAttemptError);
    await rouse.log.line(/^the worker was taken for dead/);
    finish.open("by the second");
    assert.deepEqual([(await finished(id))?.attempt, (await finished(id))?.result], [2, "by the second"]);
    await rescuer.close();
    const next = await rouse.enqueue(task);
    assert.equal((await finished(next.id))?.attempt, 1);
    await rouse.close();
  });
});

test("B13: while the database is out of reach a worker tries now and then, and says so once", async () => {
  await throughProxy(db, async (proxy, url) => {
    const { finish, task } = held();
    finish.open(undefined);
    const rouse = rouseWith([task], { connectionString: url });
    const worker = await rouse.startWorker();
    await worker.drained();
    proxy.cut();
    const before = proxy.attempts;
    const cpu = process.cpuUsage();
    await sleep(4_000);
    // From 0.1 s, doubling, varied by half: some seven tries in 4 s for each of exchange, listener and heartbeat.
    const tries = proxy.attempts - before;
    assert.ok(tries >= 6 && tries <= 36, `${tries} tries to connect in 4 s`);
    const { user, system } = process.cpuUsage(cpu);
    assert.ok(user + system < 2_000_000, `${(user + system) / 1_000} ms of CPU in 4 s`);
    proxy.restore();
    const { id } = await rouse.enqueue(task);
    await finished(id);
    await rouse.log.line(/^the heartbeat is back/);
    await rouse.log.line(/^listening again/);
    for (const line of [/^the heartbeat has lost/, /^the heartbeat is back/, /^not listening/, /^listening again/]) {
      assert.equal(rouse.log.matching(line).length, 1, String(line));
    }
    assert.ok(rouse.log.matching(/^cannot get through/).length <= 1);
    await rouse.close();
  });
});

test("B14: where the name of the server leads elsewhere, every connection of a worker follows, and none looks for it at the old address", async () => {
  const old = await TcpProxy.start(db.url, "127.0.0.1");
  const moved = await TcpProxy.start(db.url, "127.0.0.2", old.port);
  try {
    await withMovingName("127.0.0.1", async (name, moveTo) => {
      const url = new URL(db.url);
      url.host = `${name}:${old.port}`;
      const { finish, task } = held();
      finish.open(undefined);
      const rouse = rouseWith([task], { connectionString: url.href });
      await rouse.startWorker();
      await finished((await rouse.enqueue(task)).id);
      const all = ["rouse", "rouse listener", "rouse heartbeat"];
      assert.ok(all.every((application) => old.carries(application)));
      assert.equal(moved.attempts, 0);

      moveTo("127.0.0.2");
      const before = old.attempts;
      old.cut();
      const [next] = await db.query<{ id: number }>("select rouse.enqueue('held')::int as id");
      await finished(next!.id);
      await until(() => all.every((application) => moved.carries(application)), { message: "all have followed" });
      assert.equal(old.attempts, before);
      await rouse.close();
    });
  } finally {
    await Promise.all([old.stop(), moved.stop()]);
  }
});

test("B13: handlers that take every connection of the pool delay ends and claims until they give them back, and lose nothing", async () => {
  await settle(db);
  const pool = new pg.Pool({ connectionString: db.url, max: 3 });
  const taken = new Tally<number>();
  const give = new Latch();
  const hog = defineTask("hog", {
    run: async (_payload, ctx) => {
      const client = await pool.connect();
      taken.add(ctx.job.id);
      await give.opened;
      client.release();
    },
  });
  const quick = defineTask("quick", { run: () => {} });
  const rouse = rouseWith([hog, quick], { pool });
  const worker = await rouse.startWorker();
  const hogs = await rouse.enqueueMany([{ task: hog }, { task: hog }, { task: hog }]);
  await taken.reach(3);
  const [waiting] = await db.query<{ id: number }>("select rouse.enqueue('quick')::int as id");
  const then = await beats(db);
  await until(async () => (await beats(db)) > then + 1, { message: "it goes on beating" });
  give.open();
  for (const { id } of [...hogs, waiting!]) assert.equal((await finished(id))?.attempt, 1);
  await worker.stop();
  await pool.end();
});

test("B13: a disk that is full when a job ends: its result is kept and told when there is room again", async () => {
  await db.query(
    `create table full_disk ();
     create function refuse_row() returns trigger language plpgsql as $$
     begin
       if exists (select from pg_class where relname = 'full_disk') then
         raise exception using errcode = '53100', message = 'could not extend file: No space left on device';
       end if;
       return new;
     end $$;
     create trigger refuse before insert on rouse.archive for each row execute function refuse_row()`,
  );
  try {
    const runs = new Tally<number>();
    const task = defineTask("paid", { run: (_payload, ctx) => runs.add(ctx.job.id) ?? "receipt" });
    const rouse = rouseWith([task]);
    await rouse.startWorker();
    const [first, second] = await rouse.enqueueMany([{ task }, { task }]);
    const { fields } = await rouse.log.line(/^cannot get through to the database/);
    assert.match(String(fields.error), /No space left/);
    await db.query("drop table full_disk");
    for (const { id } of [first!, second!]) {
      const job = await finished(id);
      assert.deepEqual([job?.state, job?.attempt, job?.result], ["succeeded", 1, "receipt"]);
    }
    assert.equal(runs.all.length, 2, "each ran once");
    assert.equal(rouse.log.matching(/^cannot get through/).length, 1, "one line for the whole time");
    await rouse.log.line(/^the database answers again/);
  } finally {
    await db.query("drop trigger refuse on rouse.archive");
  }
});

test("B13, B14: a connection that swallows the end of ctx.transaction fails the attempt within a lease; the next one writes, once", async () => {
  await db.query("create table effect (attempt int)");
  await throughProxy(db, async (proxy, url) => {
    const task = defineTask("effect", {
      retry: { backoff: "fixed", base: 0 },
      run: (_payload, ctx) =>
        ctx.transaction(async (client) => {
          await client.query("insert into effect values ($1)", [ctx.job.attempt]);
          if (ctx.job.attempt === 1) proxy.silence("application_name\0rouse\0");
        }),
    });
    const rouse = rouseWith([task], { connectionString: url });
    await startKnowingLease(rouse);
    const { id } = await rouse.enqueue(task);
    assert.deepEqual([(await finished(id))?.state, (await finished(id))?.attempt], ["succeeded", 2]);
    assert.deepEqual(await db.query("select attempt from effect"), [{ attempt: 2 }]);
    assert.deepEqual(await errorsOf(db, id), ["the database did not answer within 5 s"]);
    await rouse.close();
  });
});

test("B14: the server looks for the host of an open ctx.transaction, so that one that vanished holds no lock for long", async () => {
  const task = defineTask("looked for", {
    run: (_payload, ctx) =>
      ctx.transaction(async (client) => {
        const { rows } = await client.query(
          "select name, setting::int from pg_settings where name like 'tcp_keepalives%' order by name",
        );
        return rows.map(({ setting }) => setting);
      }),
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  assert.deepEqual((await finished((await rouse.enqueue(task)).id))?.result, [3, 5, 3]);
});
