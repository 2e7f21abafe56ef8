import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { z } from "zod";
import { type DeadLetter, defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { claimOne, clear, declare, enqueue, listen, refused, register, rows, value } from "../support/engine.ts";
import { Tally } from "../support/latch.ts";
import { useRouse } from "../worker/support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
let worker: number;

beforeEach(async () => {
  await clear(db);
  await db.query("truncate rouse.dead_letter");
  worker = await register(db.pool);
});

async function fail(task: string, error: unknown = { message: "no", code: "E" }): Promise<string> {
  const { id, lease } = await claimOne(db.pool, worker, { tasks: [task] });
  await db.query("select rouse.fail_v1($1, $2, $3, retry => false)", [id, lease, JSON.stringify(error)]);
  return id;
}
const letters = () =>
  rows(db.pool, "select task, payload, queue, priority, tags, headers, state from rouse.job order by id");

test("A9: a job that ends failed makes a job of the task that its task names, by any client", async () => {
  await declare(
    db.pool,
    { name: "bill", dead_letter: "tell", max_attempts: 2, backoff: "fixed", backoff_base: "0", jitter: 0 },
    { name: "tell", queue: "alarm", priority: 9 },
  );
  const id = await enqueue(db.pool, "bill", { payload: { order: 7 }, tags: ["x"], headers: { trace: "t" } });
  const first = await claimOne(db.pool, worker);
  await db.query("select rouse.fail_v1($1, $2, '{}')", [id, first.lease]);
  assert.deepEqual(
    (await letters()).map(({ task }) => task),
    ["bill"],
    "an attempt is left",
  );
  const ear = await listen(db);
  const second = await claimOne(db.pool, worker);
  await db.query("select rouse.fail_v1($1, $2, $3)", [id, second.lease, '{"message": "no", "code": "E"}']);
  assert.deepEqual(await letters(), [
    {
      task: "tell",
      payload: {
        job: Number(id),
        task: "bill",
        payload: { order: 7 },
        error: { message: "no", code: "E" },
        attempts: 2,
      },
      queue: "alarm",
      priority: 9,
      tags: ["x"],
      headers: { trace: "t" },
      state: "ready",
    },
  ]);
  assert.deepEqual(await ear.heard(), [{ queue: "alarm" }]);
  assert.equal(await value(db.pool, "select state from rouse.archive where id = $1", [id]), "failed");
});

test("a worker that dies in the last attempt makes a dead letter too", async () => {
  await declare(db.pool, { name: "bill", dead_letter: "tell", max_attempts: 1 });
  await enqueue(db.pool, "bill");
  const mortal = await register(db.pool, "mortal");
  await claimOne(db.pool, mortal);
  await db.query("select rouse.sweep((select jsonb_agg(to_jsonb(w)) from rouse.worker w where w.id = $1))", [mortal]);
  const [letter] = (await letters()) as { payload: DeadLetter }[];
  assert.match(letter!.payload.error.message, /worker "mortal" died/);
});

test("cancelled jobs make no dead letter, and neither does a dead letter that fails", async () => {
  await declare(db.pool, { name: "bill", dead_letter: "tell" }, { name: "tell", dead_letter: "bill" });
  await db.query("select rouse.cancel($1)", [await enqueue(db.pool, "bill")]);
  assert.deepEqual(await letters(), []);
  await enqueue(db.pool, "bill");
  await fail("bill");
  await fail("tell");
  assert.deepEqual(await letters(), []);
});

test("a payload of the largest size does not keep its job from failing", async () => {
  await db.query("update rouse.setting set payload_limit = 1000");
  await declare(db.pool, { name: "bill", dead_letter: "tell" });
  const text = "x".repeat(950);
  await enqueue(db.pool, "bill", { payload: { text } });
  await fail("bill", { message: "y".repeat(500) });
  const [letter] = (await letters()) as { payload: DeadLetter<{ text: string }> }[];
  assert.equal(letter!.payload.payload.text, text);
});

test("what tells of which job is forgotten with the dead letter", async () => {
  await declare(db.pool, { name: "bill", dead_letter: "tell" });
  await enqueue(db.pool, "bill");
  await fail("bill");
  await db.query("select rouse.maintain()");
  assert.equal(await value(db.pool, "select count(*)::int from rouse.dead_letter"), 1);
  await db.query("delete from rouse.job");
  await db.query("select rouse.maintain()");
  assert.equal(await value(db.pool, "select count(*)::int from rouse.dead_letter"), 0);
});

test("a task that would be its own dead letter is refused by name", async () => {
  for (const dead_letter of ["bill", "", "rouse.command", "x".repeat(201)]) {
    const error = await refused(declare(db.pool, { name: "bill", dead_letter }));
    assert.match(error.message, /dead letter is another task/);
  }
  assert.throws(() => defineTask("bill", { deadLetter: "bill", run: () => {} }), /deadLetter is the task itself/);
  assert.throws(() => defineTask("bill", { deadLetter: "", run: () => {} }), /"" is not a name/);
});

test("A9: a dead letter from TypeScript to TypeScript", async () => {
  const told = new Tally<DeadLetter<{ order: number }>>();
  const tell = defineTask("tell", {
    payload: z.object({
      job: z.number(),
      task: z.string(),
      payload: z.object({ order: z.number() }),
      error: z.looseObject({ message: z.string() }),
      attempts: z.number(),
    }),
    run: (letter) => told.add(letter),
  });
  const bill = defineTask("bill", {
    payload: z.object({ order: z.number() }),
    retry: { maxAttempts: 1 },
    deadLetter: tell,
    run: () => Promise.reject(new RangeError("no such order")),
  });
  const rouse = rouseWith([bill, tell]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(bill, { order: 7 });
  const [letter] = await told.reach(1);
  const { error, ...rest } = letter!;
  assert.deepEqual(rest, { job: id, task: "bill", payload: { order: 7 }, attempts: 1 });
  assert.deepEqual([error.name, error.message], ["RangeError", "no such order"]);
});
