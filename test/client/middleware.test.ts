import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import test from "node:test";
import { z } from "zod";
import { defineTask, type Middleware, PayloadError, type Queryable } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { errorsOf, useRouse } from "../worker/support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const add = defineTask("add", {
  payload: z.object({ a: z.number(), b: z.number() }),
  retry: { maxAttempts: 1 },
  run: ({ a, b }, { job }) => ({ sum: a + b, trace: job.headers.trace }),
});

test("middleware is around every enqueue and every run, the first one outermost", async () => {
  const events: string[] = [];
  const named = (name: string): Middleware => ({
    async enqueue(call, next) {
      events.push(`${name} enqueues ${call.jobs.map(({ task }) => task)}`);
      const enqueued = await next(call);
      events.push(`${name} enqueued ${enqueued.length}`);
      return enqueued;
    },
    async run({ task, payload, jobs }, next) {
      events.push(`${name} runs ${task} ${JSON.stringify(payload)} ${jobs[0]!.attempt}`);
      const result = await next();
      events.push(`${name} ran`);
      return result;
    },
  });
  const rouse = rouseWith([add], { middleware: [named("outer"), named("inner")] });
  const { result } = await rouse.enqueue(add, { a: 1, b: 2 });
  await rouse.enqueueMany([
    { task: "elsewhere", payload: 1 },
    { task: "elsewhere", payload: 2 },
  ]);
  const worker = await rouse.startWorker();
  assert.deepEqual(await result(), { sum: 3 });
  await worker.drained();
  assert.deepEqual(events, [
    ...["outer enqueues add", "inner enqueues add", "inner enqueued 1", "outer enqueued 1"],
    ...["outer enqueues elsewhere,elsewhere", "inner enqueues elsewhere,elsewhere"],
    ...["inner enqueued 2", "outer enqueued 2"],
    ...['outer runs add {"a":1,"b":2} 1', 'inner runs add {"a":1,"b":2} 1', "inner ran", "outer ran"],
  ]);
});

test("a trace travels from the enqueue to the run", async () => {
  const trace = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  const tracing: Middleware = {
    enqueue: (call, next) =>
      next({
        ...call,
        jobs: call.jobs.map((job) => ({ ...job, headers: { ...job.headers, trace: trace.getStore() } })),
      }),
    run: ({ jobs }, next) => trace.run(String(jobs[0]!.headers.trace), next),
  };
  const child = defineTask("child", { run: (_payload, { job }) => void seen.push(job.headers.trace) });
  const parent = defineTask("parent", { run: async () => void (await (await rouse.enqueue(child)).result()) });
  const rouse = rouseWith([parent, child], { middleware: [tracing] });
  await rouse.startWorker();
  const { result } = await trace.run("t1", () => rouse.enqueue(parent));
  await result();
  assert.deepEqual(seen, ["t1"]);
});

test("A11: a database client of one's own, such as that of the current transaction", async () => {
  const transaction = new AsyncLocalStorage<Queryable>();
  const mine: Middleware = {
    enqueue: (call, next) => next({ ...call, client: call.client ?? transaction.getStore() }),
  };
  const rouse = rouseWith([add], { middleware: [mine] });
  const client = await db.connect();
  await client.query("begin");
  const { id } = await transaction.run(client, () => rouse.enqueue(add, { a: 1, b: 1 }));
  await client.query("rollback");
  assert.deepEqual(await db.query("select from rouse.job where id = $1", [id]), []);
});

test("payloads are checked after middleware, which may complete or spoil them", async () => {
  const fill = (b: unknown): Middleware => ({
    enqueue: (call, next) =>
      next({ ...call, jobs: call.jobs.map((job) => ({ ...job, payload: { ...(job.payload as object), b } })) }),
  });
  const filled = rouseWith([add], { middleware: [fill(5)] });
  await filled.startWorker();
  assert.deepEqual(await (await filled.enqueue(add, { a: 1 } as never)).result(), { sum: 6 });
  const spoilt = rouseWith([add], { middleware: [fill("x")] });
  await assert.rejects(spoilt.enqueue(add, { a: 1, b: 1 }), PayloadError);
});

test("what middleware throws counts as thrown by what it is around", async () => {
  const failing: Middleware = {
    async run(call, next) {
      await next();
      throw new Error(`no ${call.task}`);
    },
  };
  const rouse = rouseWith([add], { middleware: [failing] });
  await rouse.startWorker();
  const { id, result } = await rouse.enqueue(add, { a: 1, b: 1 });
  await assert.rejects(result(), /no add/);
  assert.deepEqual(await errorsOf(db, id), ["no add"]);
  const closed = rouseWith([], { middleware: [{ enqueue: () => Promise.reject(new RangeError("closed")) }] });
  await assert.rejects(closed.enqueue("add"), RangeError);
});

test("what is no middleware is refused", () => {
  for (const bad of [{}, undefined, { run: 1 }, () => {}]) {
    assert.throws(() => rouseWith([], { middleware: [bad as never] }), /neither a function enqueue nor a function run/);
  }
});
