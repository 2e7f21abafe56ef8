import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import {
  type Claimed,
  claim,
  clear,
  declare,
  enqueue,
  register,
  rows,
  type Session,
  value,
} from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool);
  // Asleep, from the second look on.
  await exchange(db.pool, 1);
  await exchange(db.pool, 1);
});

type Outcome = { outcome: string; id: string | null; wait_ms: number | null };

async function exchange(session: Session, most: number, rest = ""): Promise<Outcome[]> {
  return await rows<Outcome & Claimed>(
    session,
    `select outcome, id, wait_ms from rouse.exchange_v1($1, null, null, $2${rest})`,
    [worker, most],
  );
}

const outcomes = (all: Outcome[]) => all.map(({ outcome }) => outcome).join(" ");

test("one call finishes, fails, releases and claims", async () => {
  await declare(db.pool, { name: "a", backoff: "fixed", backoff_base: "1 hour" });
  await db.query("select rouse.enqueue('a') from generate_series(1, 5)");
  const held = await claim(db.pool, worker, { most: 4 });
  const [done, failed, dead, back] = held as [Claimed, Claimed, Claimed, Claimed];
  const answer = await rows(
    db.pool,
    "select outcome, id from rouse.exchange_v1($1, null, null, 1, $2, $3, $4, $5, $6)",
    [
      worker,
      [done.id, "123456"],
      [done.lease, done.lease],
      JSON.stringify({ [done.id]: { sum: 3 } }),
      JSON.stringify([
        { id: failed.id, lease: failed.lease, error: { message: "no" } },
        { id: dead.id, lease: dead.lease, error: "never", retry: false },
        { id: back.id, lease: randomUUID(), error: "stale" },
      ]),
      JSON.stringify([{ id: back.id, lease: back.lease }]),
    ],
  );
  assert.deepEqual(
    answer.map(({ outcome, id }) => [outcome, id]),
    [
      ["stale", "123456"],
      ["scheduled", failed.id],
      ["failed", dead.id],
      ["stale", back.id],
      ["ready", back.id],
      ["claimed", back.id],
    ],
  );
  assert.deepEqual(await rows(db.pool, "select id, state, result from rouse.archive order by id"), [
    { id: done.id, state: "succeeded", result: { sum: 3 } },
    { id: dead.id, state: "failed", result: null },
  ]);
});

test("B2: a worker that got all there is learns when the next job is due", async () => {
  assert.deepEqual(await exchange(db.pool, 5), [{ outcome: "sleep", id: null, wait_ms: null }]);
  await enqueue(db.pool, "mail", { delay: "10 seconds" });
  await enqueue(db.pool, "mail");
  const answer = await exchange(db.pool, 5);
  assert.equal(outcomes(answer), "claimed sleep");
  const wait = answer[1]?.wait_ms ?? 0;
  assert.ok(wait > 5_000 && wait <= 10_000, `${wait} ms`);
});

test("B23: ready jobs that another transaction holds are a reason to look again, and come after its rollback", async () => {
  await db.query("insert into rouse.job (task) select 'mail' from generate_series(1, 3)");
  const holder = await db.connect();
  await holder.query("begin");
  await holder.query("select from rouse.job for update");
  assert.deepEqual(await exchange(db.pool, 5), [{ outcome: "look_again", id: null, wait_ms: null }]);
  assert.equal(await value(db.pool, "select ready from rouse.beat_v1($1)", [worker]), true);
  await holder.query("rollback");
  assert.equal(outcomes(await exchange(db.pool, 5)), "claimed claimed claimed sleep");
});

test("a due job that somebody holds back is a reason to look again, never a timer that is always due", async () => {
  await enqueue(db.pool, "mail", { delay: "1 hour" });
  const held = await enqueue(db.pool, "mail", { delay: "0.01" });
  const holder = await db.connect();
  await holder.query("begin");
  await holder.query("select from rouse.job where id = $1 for update", [held]);
  await db.query("select pg_sleep(0.02)");
  const [answer] = await exchange(db.pool, 5);
  assert.equal(answer?.outcome, "look_again");
  assert.ok((answer?.wait_ms ?? 0) > 3_000_000, `the timer is for what is due later, not in ${answer?.wait_ms} ms`);
  await holder.query("rollback");
  assert.equal(outcomes(await exchange(db.pool, 5)), "claimed sleep");
});

test("more than a thousand jobs due at once: the next look follows at once", async () => {
  await db.query(`
    insert into rouse.job (task, queue, run_at, state)
    select 'mail', 'others', now() - interval '1 second', 'scheduled' from generate_series(1, 1500)`);
  await db.query(`insert into rouse.job (task, queue, run_at, state) values ('mail', 'mine', now(), 'scheduled')`);
  const look = async () =>
    await rows<Outcome>(db.pool, "select outcome, wait_ms from rouse.exchange_v1($1, '{mine}', null, 5)", [worker]);
  assert.deepEqual(await look(), [{ outcome: "look_again", wait_ms: 0 }]);
  assert.equal(outcomes(await look()), "claimed sleep");
});

test("a full batch says nothing of what comes next, a call that wants none claims none", async () => {
  await db.query("insert into rouse.job (task) select 'mail' from generate_series(1, 3)");
  assert.equal(outcomes(await exchange(db.pool, 2)), "claimed claimed");
  assert.equal((await exchange(db.pool, 0)).filter(({ outcome }) => outcome === "claimed").length, 0);
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.job where state = 'ready'"), 1);
});

test("a worker that was given up gets no more jobs", async () => {
  await enqueue(db.pool, "mail");
  await register(db.pool, "another one");
  await db.query("delete from rouse.worker where id = $1", [worker]);
  assert.equal((await exchange(db.pool, 2)).filter(({ outcome }) => outcome === "claimed").length, 0);
  assert.equal(await value(db.pool, "select state from rouse.job"), "ready");
});

test("only a call that finishes nothing commits asynchronously", async () => {
  await db.query("insert into rouse.job (task) select 'mail' from generate_series(1, 3)");
  const client = await db.connect();
  const setting = async (rest: string) => {
    await client.query("begin");
    await exchange(client, 1, rest);
    const set = await value(client, "show synchronous_commit");
    await client.query("commit");
    return set;
  };
  const lease = "00000000-0000-4000-8000-000000000000";
  assert.equal(await setting(""), "off");
  assert.equal(await setting(`, '{7}', '{${lease}}'`), "on");
  assert.equal(await setting(`, '{}', '{}', '{}', '[{"id": 7, "lease": "${lease}", "error": "x"}]'`), "on");
  assert.equal(await setting(`, '{}', '{}', '{}', '[]', '[{"id": 7, "lease": "${lease}"}]'`), "on");
  assert.equal(await value(client, "show synchronous_commit"), "on");
});
