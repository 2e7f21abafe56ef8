import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { type Claimed, claimOne, enqueue, register, rows, type Session, value } from "../support/engine.ts";
import { clearLimits, states } from "./support.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clearLimits(db);
  worker = await register(db.pool);
});

const keyed = async (session: Session, key: string, options = {}) =>
  enqueue(session, "t", { concurrency_key: key, ...options });

/** Claims all that is ready. */
const claimAll = async () =>
  rows<Claimed>(db.pool, "select * from rouse.claim_v1($1, null, null, 10000) order by id", [worker]);

/** Ends jobs in an exchange that claims nothing, so that what it lets in is seen as ready. */
const end = (session: Session, jobs: readonly Claimed[]) =>
  rows(session, "select outcome, id from rouse.exchange_v1($1, null, null, 0, $2, $3)", [
    worker,
    jobs.map(({ id }) => id),
    jobs.map(({ lease }) => lease),
  ]);

const arrivals = async () =>
  (await rows<{ lane: string }>(db.pool, "select lane from rouse.arrival order by 1")).map(({ lane }) => lane);

const holders = async () =>
  (await rows<{ holder: string }>(db.pool, "select lane || ' ' || job_id as holder from rouse.holder order by 1")).map(
    ({ holder }) => holder,
  );

test("B16: an exchange passes the slots of keys on in its own transaction, and leaves no arrivals", async () => {
  const session = await db.connect();
  const jobs = [];
  for (const key of ["a", "a", "b", "b", "c"]) jobs.push(await keyed(db.pool, key));
  const first = await claimAll();
  assert.equal(first.length, 3);
  await session.query("begin");
  await end(session, first);
  assert.equal(
    await value(session, "select pg_stat_get_xact_tuples_inserted('rouse.arrival'::regclass)::integer"),
    0,
    "nothing is told that need not be",
  );
  assert.equal(await states(db), "running blocked running blocked running", "others see nothing of it yet");
  await session.query("commit");
  assert.equal(await states(db), "ready ready");
  assert.deepEqual(await holders(), [`key:a ${jobs[1]}`, `key:b ${jobs[3]}`]);
});

test("B16: what fails for good beside a success leaves its key, too", async () => {
  for (const key of ["a", "a", "b", "b"]) await keyed(db.pool, key);
  const [done, failed] = await claimAll();
  await rows(db.pool, "select outcome from rouse.exchange_v1($1, null, null, 0, $2, $3, failures => $4)", [
    worker,
    [done!.id],
    [done!.lease],
    JSON.stringify([{ id: Number(failed!.id), lease: failed!.lease, error: { message: "no" }, retry: false }]),
  ]);
  assert.equal(await states(db), "ready ready");
  assert.equal((await holders()).length, 2);
});

test("B24: an exchange that is rolled back keeps the slots with those that have them", async () => {
  const session = await db.connect();
  const first = await keyed(session, "a");
  await keyed(session, "a");
  const held = await claimAll();
  await session.query("begin");
  await end(session, held);
  await session.query("rollback");
  assert.equal(await states(db), "running blocked");
  assert.deepEqual(await holders(), [`key:a ${first}`]);
  await end(session, held);
  assert.equal(await states(db), "ready");
});

test("B24: a lane that another transaction has is told of the end, and nobody waits for it", async () => {
  const [session, other] = [await db.connect(), await db.connect()];
  await keyed(session, "a");
  const next = await keyed(session, "a");
  const held = await claimAll();
  await other.query("begin");
  assert.equal(await value(other, "select rouse.lock_lane('key:a')"), true);
  await end(session, held);
  assert.deepEqual(await arrivals(), ["key:a"]);
  assert.equal(await states(db), "blocked");
  await other.query("rollback");
  assert.equal((await claimOne(session, worker)).id, next);
  assert.deepEqual(await holders(), [`key:a ${next}`]);
});

test("where nothing newer than the transaction would be seen, or no exchange ends the jobs, others are told", async () => {
  const session = await db.connect();
  await keyed(session, "a");
  const next = await keyed(session, "a");
  const held = await claimAll();
  await session.query("begin isolation level repeatable read");
  await end(session, held);
  await session.query("commit");
  assert.deepEqual(await arrivals(), ["key:a"]);
  const job = await claimOne(session, worker);
  assert.equal(job.id, next);

  await keyed(session, "a");
  await session.query("select rouse.admit()");
  await session.query("select rouse.complete_many_v1($1, $2)", [[job.id], [job.lease]]);
  assert.deepEqual(await arrivals(), ["key:a"]);
  assert.equal((await claimAll()).length, 1);
});

test("B16: a slot is passed on whatever else limits the next job or the one that ended", async () => {
  const next = async (options: object, before: string, after: string, ready = "blocked") => {
    await clearLimits(db);
    worker = await register(db.pool);
    await keyed(db.pool, "a", { queue: "first" });
    await keyed(db.pool, "a", options);
    const held = await claimAll();
    await db.query(before);
    await end(db.pool, held);
    assert.equal(await states(db), ready, before);
    await db.query(after);
    await end(db.pool, []);
    assert.equal(await states(db), "ready", before);
    assert.deepEqual(await arrivals(), [], before);
  };
  await next({ queue: "q" }, "select rouse.pause(queue => 'q')", "select rouse.resume(queue => 'q')");
  await next({}, "select rouse.pause(key => 'a')", "select rouse.resume(key => 'a')");
  await next({}, "select rouse.set_limit(key => 'a', concurrency => 2), rouse.admit()", "select 1", "ready");
  await next({}, "select rouse.set_limit(queue => 'first', concurrency => 1)", "select 1", "ready");
  await next(
    { queue: "q" },
    "select rouse.set_limit(queue => 'q', concurrency => 1), rouse.pause(queue => 'q')",
    "select rouse.resume(queue => 'q')",
  );
});

test("B16: a job with a key that ends leaves its slots of the task and the queue, too", async () => {
  await db.query(
    "select rouse.set_limit(task => 't', concurrency => 2), rouse.set_limit(queue => 'q', concurrency => 1)",
  );
  await keyed(db.pool, "a", { queue: "q" });
  await keyed(db.pool, "b");
  await keyed(db.pool, "c", { queue: "q" });
  await keyed(db.pool, "d");
  await keyed(db.pool, "a");
  const held = await claimAll();
  await end(db.pool, held);
  assert.equal(await states(db), "ready ready blocked");
});

test("a batch passes on the slots of jobs that were cancelled, and of those that a trigger removes at the end of others", async () => {
  const session = await db.connect();
  const [parent, child] = [await keyed(session, "a"), await keyed(session, "b")];
  const [cancelled] = [await keyed(session, "c"), await keyed(session, "a")];
  await keyed(session, "b");
  await keyed(session, "c");
  const held = await claimAll();
  assert.deepEqual(
    held.map(({ id }) => id),
    [parent, child, cancelled],
  );
  await session.query("select rouse.cancel($1)", [cancelled]);
  await session.query(`
    create function drop_child() returns trigger language plpgsql as $$
    begin
      delete from rouse.job where id = ${child} and old.id = ${parent};
      return null;
    end
    $$;
    create trigger drop_child after delete on rouse.job for each row execute function drop_child()`);
  await end(
    session,
    held.filter(({ id }) => id !== child),
  );
  await session.query("drop trigger drop_child on rouse.job");
  assert.equal(await states(db), "ready ready ready");
  assert.deepEqual(await arrivals(), []);
});

test("the ends of a few jobs read the slots of their own keys and not those of thousands", async () => {
  const session = await db.connect();
  await db.query("alter table rouse.holder set (autovacuum_enabled = off)");
  const read = async () =>
    value<number>(
      session,
      `select sum(pg_stat_get_xact_tuples_returned(indexrelid))::integer from pg_index where indrelid = 'rouse.holder'::regclass`,
    );
  const endOne = async () => {
    const [job] = await rows<Claimed>(session, "select * from rouse.claim_v1($1)", [worker]);
    await session.query("begin");
    const before = await read();
    await end(session, [job!]);
    await session.query("insert into rouse.arrival (lane, job_id) values ('key:none', 0)");
    await session.query("select rouse.admit()");
    const entries = (await read()) - before;
    await session.query("commit");
    return entries;
  };
  // The plans are made while hardly anybody has a slot.
  await db.query("vacuum analyze rouse.holder");
  await db.query("insert into rouse.job (task, concurrency_key) select 't', 'few' from generate_series(1, 10)");
  for (let n = 0; n < 7; n++) await endOne();
  await db.query(`insert into rouse.job (task, concurrency_key)
    select 't', 'k ' || n % 2000 from generate_series(1, 4000) as n`);
  for (let n = 0; n < 5; n++) await session.query("select rouse.admit()");
  assert.ok((await value<number>(session, "select count(*)::integer from rouse.holder")) > 2000);
  const entries = await endOne();
  assert.ok(entries <= 20, `reads ${entries}`);
});
