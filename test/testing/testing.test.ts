import assert from "node:assert/strict";
import test, { afterEach, beforeEach } from "node:test";
import type pg from "pg";
import { z } from "zod";
import { defineTask, PayloadError, type Queryable, RetryError, type Rouse } from "../../src/index.ts";
import { runTask, testRouse } from "../../src/testing/index.ts";
import { testDatabase } from "../support/database.ts";
import { listen } from "../support/engine.ts";

const db = testDatabase();
let client: pg.Client;

const sendWelcome = defineTask("send_welcome", {
  payload: z.object({ userId: z.number(), at: z.iso.datetime().transform((text) => new Date(text)) }),
  retry: { maxAttempts: 2 },
  async run({ userId, at }, ctx) {
    if (userId < 0) throw new RangeError("no such user");
    return ctx.transaction(async (tx) => {
      await tx.query("insert into mail (user_id) values ($1)", [userId]);
      await rouse.enqueue(followUp, {}, { delay: "7 days", client: tx });
      return at.getUTCFullYear();
    });
  },
});
const followUp = defineTask("follow_up", { run: (_payload, { job }) => job.task });
const welcome = (userId: number) => ({ userId, at: "2026-01-01T00:00:00Z" });

/** The code under test: it knows nothing of tests. */
async function signUp(queue: Pick<Rouse, "enqueue">, tx: Queryable, userId: number) {
  return queue.enqueue(sendWelcome, welcome(userId), { client: tx, priority: 5, uniqueKey: `user ${userId}` });
}

let rouse: ReturnType<typeof testRouse>;
beforeEach(async () => {
  client ??= await db.connect();
  await client.query("begin; create table if not exists mail (user_id integer)");
  rouse = testRouse({ client, tasks: [sendWelcome, followUp] });
});
afterEach(async () => {
  await client.query("rollback");
  assert.deepEqual(await db.query("select from rouse.jobs"), [], "nothing is left of a test");
});

test("what was enqueued can be asserted, within the test's own transaction", async () => {
  const { id } = await signUp(rouse, client, 1);
  const [{ runAt, ...job }, ...more] = (await rouse.enqueued(sendWelcome)) as [
    Awaited<ReturnType<typeof rouse.enqueued>>[0],
  ];
  assert.deepEqual(
    { ...job },
    {
      ...{ id, task: "send_welcome", payload: welcome(1), queue: "default", priority: 5 },
      ...{ uniqueKey: "user 1", tags: [], headers: {} },
    },
  );
  assert.ok(Math.abs(runAt.getTime() - Date.now()) < 3_600_000);
  assert.deepEqual(more, []);
  assert.deepEqual(await rouse.enqueued(followUp), []);
  await assert.rejects(rouse.enqueue(sendWelcome, { userId: "x" } as never), PayloadError);
});

test("drain runs what is due, and what that enqueues; later jobs at a later time", async () => {
  const { result } = await signUp(rouse, client, 1);
  await assert.rejects(result(), /has not ended, it is ready: let drain\(\) run it first/);
  const ran = await rouse.drain();
  assert.deepEqual(
    ran.map(({ task, state, result }) => [task, state, result]),
    [["send_welcome", "succeeded", 2026]],
  );
  assert.equal(await result(), 2026);
  assert.equal((await client.query("select from mail where user_id = 1")).rowCount, 1);
  assert.equal((await rouse.enqueued(followUp)).length, 1);
  const later = await rouse.drain({ until: new Date(Date.now() + 8 * 86_400_000) });
  assert.deepEqual(
    later.map(({ task, result }) => [task, result]),
    [["follow_up", "follow_up"]],
  );
  assert.deepEqual(await rouse.enqueued(), []);
});

test("a failing handler fails its attempt, its writes are undone and the test goes on", async () => {
  const failing = defineTask("failing", {
    run: async (_payload, ctx) => {
      await ctx.transaction(async (tx) => {
        await tx.query("insert into mail (user_id) values (9)");
        await tx.query("select 1 / 0");
      });
    },
  });
  const patient = defineTask("patient", { run: () => Promise.reject(new RetryError("later", "1 day")) });
  rouse = testRouse({ client, tasks: [failing, patient, sendWelcome] });
  const first = await rouse.enqueue(failing);
  await rouse.enqueue(patient);
  await signUp(rouse, client, -1);
  const ran = await rouse.drain();
  assert.deepEqual(ran.map(({ task, state, attempt }) => [task, state, attempt]).sort(), [
    ["failing", "scheduled", 1],
    ["patient", "scheduled", 1],
    ["send_welcome", "scheduled", 1],
  ]);
  assert.match(String(ran.find(({ id }) => id === first.id)?.error), /division by zero/);
  assert.deepEqual((await client.query("select from mail")).rows, []);
  const last = await rouse.drain({ until: new Date(Date.now() + 60_000) });
  assert.ok(last.some(({ task, state, attempt }) => task === "send_welcome" && state === "failed" && attempt === 2));
  assert.ok(
    last.every(({ task }) => task !== "patient"),
    "due tomorrow",
  );
});

test("ctx.transaction finishes the job, and a later error changes nothing", async () => {
  const task = defineTask("twofold", {
    run: async (_payload, ctx) => {
      await ctx.transaction(async (tx) => void (await tx.query("insert into mail (user_id) values (1)")));
      throw new Error("too late");
    },
  });
  rouse = testRouse({ client, tasks: [task] });
  await rouse.enqueue(task);
  assert.deepEqual(
    (await rouse.drain()).map(({ state, error }) => [state, error]),
    [["succeeded", undefined]],
  );
  assert.equal((await client.query("select from mail")).rowCount, 1);
});

test("nobody else takes part: no notification, no worker, no connection", async () => {
  const ear = await listen(db);
  await signUp(rouse, client, 1);
  await rouse.drain();
  assert.deepEqual(await ear.heard(), []);
  assert.equal((await client.query("select from rouse.worker")).rowCount, 0);
});

test("a drain without a transaction says what is missing", async () => {
  await client.query("rollback");
  await assert.rejects(rouse.drain(), /there is none: begin one on its client/);
  await client.query("begin");
  assert.throws(() => testRouse({} as never), /needs the client of the test/);
});

test("middleware and batches are as in a worker", async () => {
  const doubled = defineTask("doubled", {
    payload: z.number(),
    batch: { size: 10 },
    run: (payloads) => Promise.allSettled(payloads.map(async (n) => n * 2)),
  });
  const seen: string[] = [];
  rouse = testRouse({
    client,
    tasks: [doubled],
    middleware: [
      {
        run: ({ task }, next) => {
          seen.push(task);
          return next();
        },
      },
    ],
  });
  const { result } = await rouse.enqueue(doubled, 4);
  await rouse.drain();
  assert.equal(await result(), 8);
  assert.deepEqual(seen, ["doubled"]);
});

test("runTask runs a handler by itself, its payload checked and turned as by the queue", async () => {
  const task = defineTask("alone", {
    payload: z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }),
    run: ({ at }, { job }) => `${at.getUTCFullYear()} ${job.attempt}`,
  });
  assert.equal(await runTask(task, { at: "2026-01-01T00:00:00Z" }, { job: { attempt: 3 } }), "2026 3");
  await assert.rejects(runTask(task, { at: "yesterday" }), PayloadError);
  await assert.rejects(runTask(sendWelcome, welcome(-1)), RangeError);
  assert.equal(await runTask(sendWelcome, welcome(1), { client }), 2026);
  await assert.rejects(runTask(sendWelcome, welcome(1)), /needs a client here/);
  const bare = defineTask("bare", { run: () => 1 });
  assert.equal(await runTask(bare, undefined), 1);
});
