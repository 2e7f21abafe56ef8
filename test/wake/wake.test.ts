import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  claimOne,
  clear,
  declare,
  type Ear,
  enqueue,
  listen,
  register,
  sleeper,
  value,
} from "../support/engine.ts";

const db = testDatabase();
let ear: Ear;

beforeEach(async () => {
  ear ??= await listen(db);
  await clear(db);
  await sleeper(db.pool);
  await ear.heard();
});

test("B1: a listener hears nothing before the commit and once after it, however many jobs", async () => {
  const client = await db.connect();
  await client.query("begin");
  for (let n = 0; n < 3; n++) await enqueue(client, "mail");
  await client.query("insert into rouse.job (task) select 'mail' from generate_series(1, 1000)");
  assert.deepEqual(await ear.heard(), []);
  await client.query("commit");
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
});

test("B1, A11: a rollback, of the transaction or to a savepoint, takes its wake with it", async () => {
  const client = await db.connect();
  await client.query("begin");
  await enqueue(client, "mail");
  await client.query("rollback");
  assert.deepEqual(await ear.heard(), []);

  await client.query("begin");
  await enqueue(client, "mail", { queue: "kept", delay: "2 hours" });
  await client.query("savepoint here");
  await enqueue(client, "mail", { queue: "lost" });
  await enqueue(client, "mail", { delay: "1 hour" });
  await client.query("rollback to here");
  const kept = await enqueue(client, "mail", { delay: "90 minutes" });
  await client.query("commit");
  const hints = await ear.heard();
  assert.deepEqual(hints.map(Object.keys), [["due"], ["due"]]);
  assert.equal(
    await value(
      db.pool,
      "select abs(extract(epoch from run_at - $2::timestamptz)) < 0.001 from rouse.job where id = $1",
      [kept, hints[1]?.due],
    ),
    true,
    "the earlier one was never told, so this one had to be",
  );
});

test("B2: a future job wakes nobody now and tells the timer when it is due, in UTC", async () => {
  const client = await db.connect();
  await client.query("set timezone = 'Asia/Kathmandu'; set datestyle = 'SQL, DMY'");
  await enqueue(client, "mail", { run_at: "2040-01-02T03:04:05.678Z" });
  assert.deepEqual(await ear.heard(), [{ due: "2040-01-02T03:04:05.678+00:00" }]);
  await client.query(
    "insert into rouse.job (task, run_at) values ('mail', '2040-01-01 00:00Z'), ('mail', '2041-01-01 00:00Z')",
  );
  assert.deepEqual(await ear.heard(), [{ due: "2040-01-01T00:00:00+00:00" }]);
});

test("B2: a transaction tells only of jobs due earlier than it has told of", async () => {
  const client = await db.connect();
  await client.query("begin");
  for (const day of ["20", "25", "10", "15", "10"]) await enqueue(client, "mail", { run_at: `2040-01-${day}T00:00Z` });
  await client.query("commit");
  assert.deepEqual(await ear.heard(), [{ due: "2040-01-20T00:00:00+00:00" }, { due: "2040-01-10T00:00:00+00:00" }]);
});

test("B2: a job that commits after an earlier one's timer went off is told all the same", async () => {
  const client = await db.connect();
  await enqueue(db.pool, "mail", { run_at: "2040-01-01T00:00Z" });
  await client.query("begin");
  await enqueue(client, "mail", { run_at: "2040-01-02T00:00Z" });
  const worker = await register(db.pool);
  assert.equal((await claim(db.pool, worker, { most: 10, asOf: "2040-01-01T00:00Z" })).length, 1);
  await ear.heard();
  await client.query("commit");
  assert.deepEqual(await ear.heard(), [{ due: "2040-01-02T00:00:00+00:00" }]);
});

test("B2: a job becomes ready at its due time and not before", async () => {
  const id = await enqueue(db.pool, "mail", { run_at: "2040-01-01T00:00Z" });
  const worker = await register(db.pool);
  assert.deepEqual(await claim(db.pool, worker, { most: 10, asOf: "2039-12-31T23:59:59.999999Z" }), []);
  assert.equal((await claimOne(db.pool, worker, { asOf: "2040-01-01T00:00Z" })).id, id);
});

test("B3: many jobs that come due together are told once", async () => {
  await db.query(
    "insert into rouse.job (task, run_at) select 'mail', timestamptz '2040-01-01 00:00Z' from generate_series(1, 900)",
  );
  assert.equal((await ear.heard()).length, 1);
  const [one, two] = [await register(db.pool), await register(db.pool)];
  const first = await claim(db.pool, one, { most: 600, asOf: "2040-01-01T00:00Z" });
  const second = await claim(db.pool, two, { most: 600, asOf: "2040-01-01T00:00Z" });
  assert.deepEqual([first.length, second.length], [600, 300]);
  assert.equal(new Set([...first, ...second].map(({ id }) => id)).size, 900);
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
});

test("A plain change of run_at or queue files the job anew and wakes", async () => {
  const id = await enqueue(db.pool, "mail", { run_at: "2040-01-01T00:00Z" });
  await ear.heard();
  const state = async () => await value(db.pool, "select state from rouse.job where id = $1", [id]);
  await db.query("update rouse.job set run_at = now() where id = $1", [id]);
  assert.equal(await state(), "ready");
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
  await db.query("update rouse.job set run_at = '2039-01-01 00:00Z' where id = $1", [id]);
  assert.equal(await state(), "scheduled");
  assert.deepEqual(await ear.heard(), [{ due: "2039-01-01T00:00:00+00:00" }]);
  await db.query("update rouse.job set queue = 'slow', run_at = now() where id = $1", [id]);
  assert.deepEqual(await ear.heard(), [{ queue: "slow" }]);
  await db.query("update rouse.job set queue = 'fast' where id = $1", [id]);
  assert.deepEqual(await ear.heard(), [{ queue: "fast" }]);
});

test("a failed attempt tells when the next one is due, a released one its queue, a finished one nothing", async () => {
  await declare(db.pool, { name: "mail", queue: "post", backoff: "fixed", backoff_base: "1 hour" });
  const worker = await register(db.pool);
  const end = async (call: string) => {
    await enqueue(db.pool, "mail");
    const { id, lease } = await claimOne(db.pool, worker);
    await ear.heard();
    await db.query(`select rouse.${call}`, [id, lease]);
    return (await ear.heard()).map(Object.keys);
  };
  assert.deepEqual(await end("fail_v1($1, $2, null)"), [["due"]]);
  assert.deepEqual(await end("fail_v1($1, $2, null, retry => false)"), []);
  assert.deepEqual(await end("complete_v1($1, $2)"), []);
  assert.deepEqual(await end("release_v1($1, $2)"), [["queue"]]);
});

test("resume wakes a paused queue, and only a paused one", async () => {
  await db.query("select rouse.pause('post')");
  await db.query("select rouse.resume('other')");
  assert.deepEqual(await ear.heard(), []);
  await db.query("select rouse.resume('post')");
  assert.deepEqual(await ear.heard(), [{ queue: "post" }]);
  await db.query("select rouse.resume('post')");
  assert.deepEqual(await ear.heard(), []);
});
