import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { clear, type Ear, enqueue, listen, register, rows, type Session, value } from "../support/engine.ts";

const db = testDatabase();
let ear: Ear;
let worker: number;

type Rest = { outcome: string; wait_ms: number | null };

/** One look for a job, and what it says of the time after. */
async function look(session: Session = db.pool): Promise<Rest | undefined> {
  return (await rows<Rest>(session, "select outcome, wait_ms from rouse.exchange_v1($1, null, null, 1)", [worker])).at(
    -1,
  );
}

async function sleeper(): Promise<{ next_wake: string | null } | undefined> {
  return (await rows<{ next_wake: string | null }>(db.pool, "select next_wake::text from rouse.sleeper"))[0];
}

beforeEach(async () => {
  ear ??= await listen(db);
  await clear(db);
  await ear.heard();
  worker = await register(db.pool);
});

test("nobody is told of a job while nobody sleeps", async () => {
  await enqueue(db.pool, "mail");
  await enqueue(db.pool, "mail", { delay: "1 hour" });
  await db.query("insert into rouse.job (task) values ('mail')");
  assert.deepEqual(await ear.heard(), []);
});

test("a look that left a slot free puts up the sign, the next one settles, and awake_v1 takes it down", async () => {
  assert.deepEqual(await look(), { outcome: "sleep", wait_ms: 0 });
  assert.deepEqual(await sleeper(), { next_wake: null });
  assert.deepEqual(await look(), { outcome: "sleep", wait_ms: null });
  assert.deepEqual(await sleeper(), { next_wake: "infinity" });
  await enqueue(db.pool, "mail");
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
  await db.query("select rouse.awake_v1($1)", [worker]);
  await enqueue(db.pool, "mail");
  assert.deepEqual(await ear.heard(), []);
});

test("a look that found all it asked for puts up no sign", async () => {
  await enqueue(db.pool, "mail");
  await look();
  assert.equal(await sleeper(), undefined);
});

test("whoever claims by claim_v1 is told from the first claim on", async () => {
  await enqueue(db.pool, "mail");
  await db.query("select rouse.claim_v1($1)", [worker]);
  await enqueue(db.pool, "mail");
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
});

test("a worker is told of its own queues only, and nobody of those of one that is gone", async () => {
  worker = await value<number>(db.pool, "select rouse.register_v1('post', queues => '{post}')");
  await look();
  await enqueue(db.pool, "mail", { queue: "other" });
  await enqueue(db.pool, "mail", { queue: "post" });
  assert.deepEqual(await ear.heard(), [{ queue: "post" }]);
  await db.query("select rouse.deregister_v1($1)", [worker]);
  await enqueue(db.pool, "mail", { queue: "post" });
  assert.deepEqual(await ear.heard(), []);
});

test("the sign of a worker that was given up comes down with the next sweep", async () => {
  await look();
  await db.query("delete from rouse.worker");
  await db.query("select rouse.sweep()");
  assert.equal(await sleeper(), undefined);
});

test("a sleeper does not settle while a transaction is open that told nobody, and sees its job afterwards", async () => {
  const producer = await db.connect();
  await producer.query("begin");
  await enqueue(producer, "mail");
  await look();
  assert.deepEqual(await look(), { outcome: "sleep", wait_ms: 250 });
  assert.deepEqual(await sleeper(), { next_wake: null });
  await producer.query("commit");
  assert.deepEqual(await ear.heard(), [], "it told nobody");
  await look();
  assert.deepEqual(await rows(db.pool, "select state from rouse.job"), [{ state: "running" }]);
});

test("a savepoint that is rolled back takes silence and its lock along", async () => {
  const producer = await db.connect();
  await producer.query("begin");
  await producer.query("savepoint here");
  await enqueue(producer, "mail");
  await enqueue(producer, "mail", { delay: "1 hour" });
  await producer.query("rollback to here");
  await look();
  assert.deepEqual(await look(), { outcome: "sleep", wait_ms: null }, "nobody is in its way");
  await enqueue(producer, "mail");
  await enqueue(producer, "mail", { delay: "1 hour" });
  await producer.query("commit");
  assert.deepEqual((await ear.heard()).map(Object.keys), [["queue"], ["due"]]);
});

test("whoever cannot have the lock because a worker settles tells", async () => {
  await look();
  const settling = await db.connect();
  await settling.query("begin");
  assert.equal(await value(settling, "select rouse.settle($1, clock_timestamp())", [worker]), true);
  // As if the sign had come down meanwhile: only the lock is left to see.
  await db.query("delete from rouse.sleeper");
  await enqueue(db.pool, "mail");
  await settling.query("rollback");
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
});

test("a producer whose statements share a snapshot always tells", async () => {
  const producer = await db.connect();
  for (const level of ["repeatable read", "serializable"]) {
    await producer.query(`begin isolation level ${level}`);
    await enqueue(producer, "mail");
    await producer.query("commit");
    assert.deepEqual(await ear.heard(), [{ queue: "default" }], level);
  }
});

test("a sleeper is told of a job that is due before it wakes by itself, and of no other", async () => {
  await enqueue(db.pool, "mail", { delay: "1 hour" });
  await look();
  const { wait_ms } = (await look())!;
  assert.ok(wait_ms !== null && wait_ms > 3_500_000 && wait_ms <= 3_600_000, `${wait_ms} ms`);
  await enqueue(db.pool, "mail", { delay: "2 hours" });
  assert.deepEqual(await ear.heard(), []);
  await enqueue(db.pool, "mail", { delay: "10 minutes" });
  assert.equal((await ear.heard()).length, 1);
});

test("a sleeper wakes no later than it said, though what it waited for is gone", async () => {
  const first = await enqueue(db.pool, "mail", { delay: "1 hour" });
  await look();
  await look();
  await db.query("delete from rouse.job where id = $1", [first]);
  const { wait_ms } = (await look())!;
  assert.ok(wait_ms !== null && wait_ms <= 3_600_000, "of later jobs nobody told it");

  // Once its timer has gone off it settles anew, and may sleep for longer.
  await db.query("update rouse.sleeper set next_wake = now() - interval '1 second'");
  assert.deepEqual(await look(), { outcome: "sleep", wait_ms: null });
});
