import assert from "node:assert/strict";
import test from "node:test";
import { defineTask, StaleAttemptError } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, beats, errorsOf, held, settle, shortLease, terminate, throughProxy, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });

test("B14: all sessions terminated at once: workers come back alone, and keep the jobs they run", async () => {
  await settle(db);
  await shortLease(db);
  const { running, finish, task } = held();
  const [one, other, idle] = [rouseWith([task]), rouseWith([task]), rouseWith([task])];
  await one.startWorker({ concurrency: 2 });
  await other.startWorker({ concurrency: 2 });
  await idle.startWorker({ queues: ["elsewhere"] });
  const handles = await one.enqueueMany([{ task }, { task }, { task }, { task }]);
  await running.reach(4);

  const back = [one, other, idle].map(({ log }) => log.next(/^the heartbeat is back/));
  assert.ok((await terminate(db)) >= 6);
  await Promise.all(back);
  // By then anyone whose lock stayed away would have been taken for dead.
  const then = await beats(db);
  await until(async () => (await beats(db)) >= then + 12, { message: "each has beaten some four times" });
  finish.open("done");
  for (const { id } of handles) {
    const job = await finished(id);
    assert.deepEqual([job?.state, job?.attempt, job?.result], ["succeeded", 1, "done"]);
  }
  const after = await one.enqueue(task);
  assert.equal((await finished(after.id))?.attempt, 1);
});

test("B13: what finishes while the database is out of reach is kept, and told after the reconnect", async () => {
  await throughProxy(db, async (proxy, url) => {
    const { running, finish, task } = held();
    const rouse = rouseWith([task], { connectionString: url });
    await rouse.startWorker({ concurrency: 5 });
    const handles = await rouse.enqueueMany(Array.from({ length: 8 }, () => ({ task })));
    await running.reach(5);
    proxy.cut();
    await rouse.log.line(/^the heartbeat has lost/);
    finish.open({ done: true });
    await rouse.log.line(/^cannot get through/);
    assert.equal(running.all.length, 5, "more was begun whose results would have to be kept");
    proxy.restore();
    for (const { id } of handles) {
      const job = await finished(id);
      assert.deepEqual([job?.state, job?.attempt, job?.result], ["succeeded", 1, { done: true }]);
    }
    assert.equal(running.all.length, 8);
    assert.equal(rouse.log.matching(/^cannot get through/).length, 1, "one line for the whole outage");
    await rouse.log.line(/^the database answers again/);
    await rouse.close();
  });
});

test("B8, B13: jobs of a worker that is cut off for long run elsewhere; its signals abort and its late ends change nothing", async () => {
  await shortLease(db);
  await settle(db);
  await throughProxy(db, async (proxy, url) => {
    const { running, finish, task } = held();
    const cut = rouseWith([task], { connectionString: url });
    await cut.startWorker();
    const { id } = await cut.enqueue(task);
    const [lost] = await running.reach(1);
    const aborted = new Promise((resolve) =>
      lost!.signal.addEventListener("abort", () => resolve(lost!.signal.reason)),
    );
    proxy.cut();
    const rescuer = rouseWith([task]);
    await rescuer.startWorker();
    const [, second] = await running.reach(2);
    assert.deepEqual([second!.job.id, second!.job.attempt], [id, 2]);
    assert.match((await errorsOf(db, id))[0]!, /died or vanished/);

    proxy.restore();
    await cut.log.line(/^the worker was taken for dead/);
    assert.ok((await aborted) instanceof StaleAttemptError);
    finish.open("by the second");
    assert.deepEqual([(await finished(id))?.attempt, (await finished(id))?.result], [2, "by the second"]);

    // It works again as before.
    await rescuer.close();
    const next = await cut.enqueue(task);
    assert.equal((await finished(next.id))?.attempt, 1);
    await cut.close();
  });
});

test("B13: jobs claimed in an answer that got lost are given back, attempts uncounted, and run once", async () => {
  await throughProxy(db, async (proxy, url) => {
    const runs = new Tally<number>();
    const task = defineTask("quick", { run: (_payload, ctx) => runs.add(ctx.job.id) });
    const rouse = rouseWith([task], { connectionString: url });
    const worker = await rouse.startWorker();
    await worker.drained();
    const lost = proxy.loseAnswer("claimed");
    const [handle] = await db.query<{ id: number }>("select rouse.enqueue('quick')::int as id");
    await lost;
    assert.equal((await finished(handle!.id))?.attempt, 1);
    await rouse.log.line(/^gave back jobs that were claimed in an answer that got lost/);
    assert.deepEqual(runs.all, [handle!.id]);
    await rouse.close();
  });
});

test("B13: an end whose answer got lost is told again and counts once", async () => {
  await throughProxy(db, async (proxy, url) => {
    const { running, finish, task } = held();
    const rouse = rouseWith([task], { connectionString: url });
    const worker = await rouse.startWorker({ concurrency: 1 });
    await worker.drained();
    const { id } = await rouse.enqueue(task);
    await running.reach(1);
    const [job] = await db.query<{ lease: string }>("select lease from rouse.job where id = $1", [id]);
    const lost = proxy.loseAnswerTo(job!.lease);
    finish.open(1);
    await lost;
    await rouse.log.line(/^the end of an attempt was recorded already/);
    assert.deepEqual([(await finished(id))?.state, (await finished(id))?.attempt], ["succeeded", 1]);
    assert.equal((await db.query("select from rouse.archive where id = $1", [id])).length, 1);
    await worker.drained();
    await rouse.close();
  });
});

test("B13: a claim that was carried out after its worker had given it up is found by a beat and given back", async () => {
  await shortLease(db);
  const runs = new Tally<number>();
  const task = defineTask("late", { run: (_payload, ctx) => runs.add(ctx.job.id) });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  await worker.drained();
  const client = await db.connect();
  await client.query("begin");
  const { id } = await rouse.enqueue(task, undefined, { client });
  await client.query(
    "select from rouse.worker as w, rouse.claim_v1(w.id, tasks => '{late}') where 'late' = any (w.tasks)",
  );
  // As if it had been a minute ago.
  await client.query("update rouse.job set started_at = started_at - interval '1 minute' where id = $1", [id]);
  await client.query("commit");
  assert.equal((await finished(id))?.attempt, 1);
  assert.deepEqual(runs.all, [id]);
  await rouse.log.line(/^gave back jobs/);
});

test("B13: jobs in the name of a worker that is gone are given back by a beat", async () => {
  await shortLease(db);
  const runs = new Tally<number>();
  const task = defineTask("orphan", { run: (_payload, ctx) => runs.add(ctx.job.id) });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const [{ id } = { id: 0 }] = await db.query<{ id: number }>(
    `insert into rouse.job (task, state, attempt, lease, worker_id, started_at)
     values ('orphan', 'running', 1, gen_random_uuid(), 2000000000, now())
     returning id::int`,
  );
  assert.equal((await finished(id))?.attempt, 1);
  assert.deepEqual(runs.all, [id]);
});

test("B14: a session lost in ctx.transaction fails the attempt and nothing else", async () => {
  const runs = new Tally<number>();
  const task = defineTask("transacting", {
    retry: { backoff: "fixed", base: 0 },
    run: (_payload, ctx) =>
      ctx.transaction(async (client) => {
        runs.add(ctx.job.attempt);
        if (ctx.job.attempt > 1) return "second";
        // Ended while no query is under way, then noticed by the next.
        const { rows } = await client.query("select pg_backend_pid() as pid");
        const ended = new Promise((resolve) => client.once("end", resolve));
        await db.query("select pg_terminate_backend($1)", [rows[0].pid]);
        await ended;
        await client.query("select 1");
        return "first";
      }),
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task);
  const job = await finished(id);
  assert.deepEqual([job?.state, job?.attempt, job?.result], ["succeeded", 2, "second"]);
  assert.equal((await errorsOf(db, id)).length, 1);
});
