import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { z } from "zod";
import { defineTask, JobError } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, errorsOf, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });
const attempts = { retry: { maxAttempts: 1 } } as const;

test("one call gets up to that many payloads, beyond the slots of the worker", async () => {
  const calls = new Tally<readonly number[]>();
  const task = defineTask("bulk", {
    payload: z.number(),
    batch: { size: 100, wait: "1 minute" },
    run: (payloads) => calls.add(payloads),
  });
  const rouse = rouseWith([task]);
  const jobs = await rouse.enqueueMany(Array.from({ length: 200 }, (_, payload) => ({ task, payload })));
  await rouse.startWorker({ concurrency: 2 });
  await calls.reach(2);
  assert.deepEqual(
    calls.all.map(({ length }) => length),
    [100, 100],
  );
  assert.deepEqual(
    calls.all.flat().sort((a, b) => a - b),
    Array.from({ length: 200 }, (_, n) => n),
  );
  for (const { id } of jobs) assert.equal((await finished(id))?.state, "succeeded");
});

test("a batch that is not full runs when its first job has waited", async () => {
  const calls = new Tally<readonly number[]>();
  const task = defineTask("few", {
    payload: z.number(),
    batch: { size: 100, wait: "50ms" },
    run: (payloads) => calls.add(payloads),
  });
  const rouse = rouseWith([task]);
  await rouse.enqueueMany([1, 2, 3].map((payload) => ({ task, payload })));
  const worker = await rouse.startWorker();
  await worker.drained();
  assert.deepEqual(calls.all, [[1, 2, 3]]);
});

test("each job of a batch is settled on its own", async () => {
  const seen: (readonly [id: number, attempt: number])[] = [];
  const task = defineTask("settling", {
    payload: z.number().max(10),
    ...attempts,
    batch: { size: 5 },
    run: (payloads, { jobs }) => {
      seen.push(...jobs.map(({ id, attempt }) => [id, attempt] as const));
      return Promise.allSettled(
        payloads.map(async (n) => {
          if (n === 2) throw new RangeError("not two");
          return n * 10;
        }),
      );
    },
  });
  const rouse = rouseWith([task]);
  const handles = await rouse.enqueueMany([1, 2, 3].map((payload) => ({ task, payload })));
  const { rows } = await db.pool.query("select id::int from rouse.enqueue_many($1)", [
    JSON.stringify([{ task: "settling", payload: 11 }]),
  ]);
  await rouse.startWorker();
  assert.equal(await handles[0]!.result(), 10);
  assert.equal(await handles[2]!.result(), 30);
  assert.deepEqual(
    seen,
    handles.map(({ id }) => [id, 1]),
  );
  await assert.rejects(handles[1]!.result(), JobError);
  assert.deepEqual(await errorsOf(db, handles[1]!.id), ["not two"]);
  await finished(rows[0].id);
  assert.match((await errorsOf(db, rows[0].id))[0]!, /stored payload of task "settling" does not fit its schema/);
});

test("what a batch throws, its timeout, and an answer that tells nothing fail all of its jobs", async () => {
  const ended = new Tally<string>();
  const tasks = [
    defineTask("throwing", { ...attempts, batch: { size: 2 }, run: () => Promise.reject(new Error("no")) }),
    defineTask("slow", {
      ...attempts,
      timeout: 50,
      batch: { size: 2 },
      run: async (_payloads, { signal }) => {
        await once(signal, "abort");
        ended.add((signal.reason as Error).name);
      },
    }),
    defineTask("vague", { ...attempts, batch: { size: 2 }, run: () => [{ ok: true }] as never }),
  ];
  const rouse = rouseWith(tasks);
  const jobs = await rouse.enqueueMany(tasks.flatMap((task) => [{ task: task.name }, { task: task.name }]));
  await rouse.startWorker();
  const messages = [];
  for (const { id } of jobs) {
    assert.equal((await finished(id))?.state, "failed");
    messages.push(...(await errorsOf(db, id)));
  }
  assert.deepEqual(messages.slice(0, 4), [
    ...["no", "no"],
    ...Array(2).fill("the batch took longer than its timeout of 50 ms"),
  ]);
  assert.match(messages[4]!, /gives nothing, or a list as Promise\.allSettled does/);
  assert.equal(messages[5], messages[4]);
  assert.deepEqual(await ended.reach(1), ["TimeoutError"]);
});

test("B11: of a batch the cancelled jobs end so; its signal aborts when all are", async () => {
  const begun = new Tally<AbortSignal>();
  const gate = new Latch();
  const task = defineTask("cancelled", {
    batch: { size: 2 },
    run: async (_payloads, { signal }) => {
      begun.add(signal);
      await Promise.race([gate.opened, once(signal, "abort")]);
    },
  });
  const rouse = rouseWith([task]);
  const jobs = await rouse.enqueueMany([{ task }, { task }, { task }, { task }]);
  await rouse.startWorker();
  const [first, second] = await begun.reach(2);
  await rouse.cancel(jobs[0]!.id);
  await rouse.cancel([jobs[2]!.id, jobs[3]!.id]);
  if (!second!.aborted) await once(second!, "abort");
  assert.equal((second!.reason as Error).name, "CancelledError");
  assert.equal(first!.aborted, false);
  gate.open();
  const states = [];
  for (const { id } of jobs) states.push((await finished(id))?.state);
  assert.deepEqual(states, ["cancelled", "succeeded", "cancelled", "cancelled"]);
});

test("A12: jobs that gather go back when the worker stops, their attempts uncounted", async () => {
  const task = defineTask("gathering", { batch: { size: 100, wait: "1 minute" }, run: () => {} });
  const rouse = rouseWith([task]);
  const jobs = await rouse.enqueueMany([{ task }, { task }]);
  const worker = await rouse.startWorker();
  const held = () => db.query("select from rouse.job where state = 'running' and task = 'gathering'");
  await until(async () => (await held()).length === 2, { message: "both jobs gather" });
  await rouse.cancel(jobs[1]!.id);
  assert.equal((await finished(jobs[1]!.id))?.state, "cancelled", "B11: also while it gathers");
  await worker.stop();
  assert.deepEqual(await db.query("select id::int, state, attempt from rouse.job where task = 'gathering'"), [
    { id: jobs[0]!.id, state: "ready", attempt: 0 },
  ]);
});

test("A12: jobs of a running batch go back when the grace is over", async () => {
  const begun = new Latch();
  const task = defineTask("endless", {
    batch: { size: 2 },
    run: (_payloads, { signal }) => {
      begun.open();
      return once(signal, "abort").then(() => undefined);
    },
  });
  const rouse = rouseWith([task]);
  await rouse.enqueueMany([{ task }, { task }]);
  const worker = await rouse.startWorker({ grace: 0 });
  await begun.opened;
  await worker.stop();
  assert.deepEqual(await db.query("select state, attempt from rouse.job where task = 'endless'"), [
    { state: "ready", attempt: 0 },
    { state: "ready", attempt: 0 },
  ]);
});

test("other tasks run while a batch gathers", async () => {
  const batch = defineTask("gathers", { batch: { size: 100, wait: "30s" }, run: () => {} });
  const single = defineTask("single", { run: () => 1 });
  const rouse = rouseWith([batch, single]);
  await rouse.startWorker({ concurrency: 1 });
  await rouse.enqueueMany(Array(5).fill({ task: batch }));
  for (let n = 0; n < 3; n++) assert.equal(await (await rouse.enqueue(single)).result(), 1);
});

test("bad options of a batch are refused by name", () => {
  const define = (batch: object) => defineTask("bad", { batch: batch as never, run: () => {} });
  assert.throws(() => define({ size: 0 }), /task "bad": batch\.size 0 is not a whole number from 1 to 10000/);
  assert.throws(() => define({ size: 1.5 }), /batch\.size 1\.5/);
  assert.throws(() => define({ size: 1, wait: -1 }), /task "bad": batch\.wait -1 is not a duration/);
  assert.throws(() => define({ size: 1, wait: "2m" }), /batch\.wait "2m" is more than a minute/);
  assert.throws(() => define({ sise: 1 }), /unknown option "sise" for the batch of task "bad"/);
});
