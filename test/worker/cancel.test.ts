import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { Around } from "../../src/client/middleware.ts";
import { CancelledError, defineTask } from "../../src/index.ts";
import { Attempt } from "../../src/worker/attempt.ts";
import type { ClaimedJob } from "../../src/worker/job.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";
import { until } from "../support/until.ts";
import { archived, beats, betweenBeats, errorsOf, shortLease, terminate, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });

/** A task whose handler waits for its signal and then cleans up until the test lets it end. */
function patient(end: () => unknown = () => "cleaned up") {
  const begun = new Tally<number>();
  const aborted = new Tally<{ reason: unknown; at: number }>();
  const cleaned = new Latch();
  const task = defineTask("patient", {
    async run(_payload, { job, signal }) {
      begun.add(job.id);
      if (!signal.aborted) await once(signal, "abort");
      aborted.add({ reason: signal.reason, at: performance.now() });
      await cleaned.opened;
      return end();
    },
  });
  return { task, begun, aborted, cleaned };
}

test("B11: a running job is cancelled through its signal within 100 ms, cleans up and ends cancelled", async () => {
  const { task, begun, aborted, cleaned } = patient(() => {
    throw new Error("an end like any other");
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const times = [];
  const jobs = [];
  for (let n = 0; n < 10; n++) {
    jobs.push(await rouse.enqueue(task));
    await begun.reach(n + 1);
    const asked = performance.now();
    const before = await beats(db);
    assert.equal(await rouse.cancel(jobs[n]!.id), 1);
    const { at, reason } = (await aborted.reach(n + 1))[n]!;
    assert.ok(reason instanceof CancelledError);
    if ((await beats(db)) === before) times.push(at - asked);
  }
  times.sort((a, b) => a - b);
  assert.ok(times[Math.floor(times.length / 2)]! < 100, `it took ${times.map(Math.round)} ms`);
  assert.equal((await db.query("select from rouse.job where state = 'running'")).length, 10, "they clean up");
  cleaned.open();
  for (const { id } of jobs) {
    assert.equal((await finished(id))?.state, "cancelled");
    assert.deepEqual(await errorsOf(db, id), []);
  }
});

test("B11: a handler that does not look at its signal ends cancelled all the same", async () => {
  const gate = new Latch();
  const begun = new Latch();
  const task = defineTask("deaf", {
    run: () => {
      begun.open();
      return gate.opened;
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task);
  await begun.opened;
  await rouse.cancel(id);
  gate.open();
  assert.equal((await finished(id))?.state, "cancelled");
});

test("B11: where the notification is lost, a beat tells of the cancel", async () => {
  await shortLease(db);
  const { task, begun, aborted, cleaned } = patient();
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task);
  await begun.reach(1);
  await db.query("insert into rouse.cancel_request (job_id) values ($1)", [id]);
  await aborted.reach(1);
  cleaned.open();
  assert.equal((await finished(id))?.state, "cancelled");
});

test("B11: a cancel while the listener is away is found when it is back, before any beat", async () => {
  await db.query("update rouse.setting set lease = '10 minutes'");
  const { task, begun, aborted, cleaned } = patient();
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  await betweenBeats(db, async () => {
    const before = begun.all.length;
    const { id } = await rouse.enqueue(task);
    await begun.reach(before + 1);
    await db.query("insert into rouse.cancel_request (job_id) values ($1)", [id]);
    assert.equal(await terminate(db, "rouse listener"), 1);
    await aborted.reach(before + 1);
  });
  cleaned.open();
});

test("B11: writes in ctx.transaction of a cancelled job are rolled back", async () => {
  await db.query("create table effect (n integer)");
  const [begun, gate] = [new Latch(), new Latch()];
  const outcome = new Latch<unknown>();
  const task = defineTask("writing", {
    async run(_payload, ctx) {
      const writing = ctx.transaction(async (client) => {
        await client.query("insert into effect values (1)");
        begun.open();
        await gate.opened;
      });
      await writing.catch(outcome.open);
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task);
  await begun.opened;
  await rouse.cancel(id);
  gate.open();
  assert.ok((await outcome.opened) instanceof CancelledError);
  assert.equal((await finished(id))?.state, "cancelled");
  assert.deepEqual(await db.query("select from effect"), []);
});

test("B11: a job that was claimed ahead and has not begun is cancelled without running", async () => {
  const released: ClaimedJob[] = [];
  const { Executor } = await import("../../src/worker/executor.ts");
  const { TaskRegistry } = await import("../../src/tasks/registry.ts");
  const gate = new Latch();
  const ran: number[] = [];
  const task = defineTask("ahead", {
    run: (_payload, { job }) => {
      ran.push(job.id);
      return gate.opened;
    },
  });
  const ended = new Tally<number>();
  const executor = new Executor({
    pool: db.pool,
    schema: "rouse",
    log: new TestLog(),
    notes: undefined as never,
    around: new Around(),
    transactions: undefined as never,
    patienceMs: () => 30_000,
    tasks: new TaskRegistry([task]),
    concurrency: 1,
    claimsAhead: true,
    mayBegin: () => true,
    callMs: () => 1,
    onRoom: () => {},
    onFinished: ({ kind, job }) => {
      if (kind === "released") released.push(job);
      ended.add(job.id);
    },
  });
  const jobs = [1, 2, 3].map((id) => claimed(id, task.name));
  executor.accept(jobs);
  executor.cancel(({ id }) => id === 2);
  assert.deepEqual(
    released.map(({ id }) => id),
    [2],
  );
  gate.open();
  await ended.reach(3);
  assert.deepEqual(ran, [1, 3]);
});

test("a handler that cleans up without end holds its slot, and no longer its job", async (t) => {
  const gate = new Latch();
  const task = defineTask("endless", { run: () => gate.opened });
  const ended: string[] = [];
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const attempt = new Attempt(claimed(1, task.name), task, {
    pool: db.pool,
    schema: "rouse",
    log: new TestLog(),
    notes: undefined as never,
    around: new Around(),
    transactions: undefined as never,
    patienceMs: () => 30_000,
    onDecided: ({ kind }) => ended.push(kind),
  });
  const running = attempt.run();
  attempt.cancel(() => true);
  t.mock.timers.tick(29_000);
  assert.deepEqual(ended, []);
  t.mock.timers.tick(2_000);
  assert.deepEqual(ended, ["released"]);
  gate.open();
  await running;
  assert.deepEqual(ended, ["released"]);
});

test("A9: jobs are cancelled, retried, rescheduled and purged from TypeScript, in the caller's transaction", async () => {
  const task = defineTask("controlled", { run: () => {} });
  const rouse = rouseWith([task]);
  const jobs = await rouse.enqueueMany([{ task }, { task }, { task }]);
  const ids = jobs.map(({ id }) => id);
  const client = await db.connect();
  await client.query("begin");
  assert.equal(await rouse.cancel(ids, { client }), 3);
  await client.query("rollback");
  const states = () => db.query("select state, queue, priority from rouse.jobs where id = any ($1) order by id", [ids]);
  assert.deepEqual(
    (await states()).map(({ state }) => state),
    ["ready", "ready", "ready"],
  );
  assert.equal(await rouse.cancel(ids.slice(0, 2)), 2);
  assert.equal(await rouse.cancel(ids), 1);
  assert.equal(await rouse.retry(ids), 3);
  assert.equal(await rouse.reschedule(ids, { delay: "1h", queue: "other", priority: 3 }), 3);
  assert.deepEqual(await states(), Array(3).fill({ state: "scheduled", queue: "other", priority: 3 }));
  assert.equal(await rouse.purge([...ids, 987_654]), 3);
  assert.deepEqual(await states(), []);
  await assert.rejects(rouse.cancel(Number.NaN), /NaN is not the id of a job/);
  await assert.rejects(rouse.reschedule(1, { runAt: new Date("x") }), /runAt Invalid Date is not a valid Date/);
  await assert.rejects(rouse.reschedule(1, {}), /reschedule changes nothing/);
});

function claimed(id: number, task: string): ClaimedJob {
  const row = ["claimed", id, "lease", task, {}, null, "default", 0, 1, null, null, null, null, null, null, null];
  const claimedAt = performance.now();
  return { id, lease: "lease", task, payload: {}, timeout: null, priority: 0, claimedAt, startBy: undefined, row };
}
