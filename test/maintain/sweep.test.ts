import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { claim, claimOne, clear, enqueue, register, rows, value } from "../support/engine.ts";

const db = testDatabase();
const suspect = (worker: number) => JSON.stringify([{ id: worker, beats: 0 }]);
const stateOf = async (id: string) => await value<string>(db.pool, "select state from rouse.jobs where id = $1", [id]);
/** As of so many seconds from now. */
const sweep = async (seconds: number) =>
  await value<number>(db.pool, "select rouse.sweep(as_of => clock_timestamp() + $1 * interval '1 second')", [seconds]);

/** Whatever it meets, a sweep waits for nobody: while one waits there is no other. */
async function sweepAtOnce(suspects: string): Promise<void> {
  const client = await db.connect();
  await client.query("set statement_timeout = '3s'");
  await client.query("select rouse.sweep($1)", [suspects]);
}

const open: pg.Client[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.end()));
  await clear(db);
});

/** A session in an open transaction, until `rollback` or the end of the test. */
async function transaction(): Promise<pg.Client> {
  const client = await db.connect();
  open.push(client);
  await client.query("begin");
  return client;
}

/** A worker of that name that runs a job of the task. */
async function running(task: string, options: Record<string, unknown> = {}): Promise<{ worker: number; id: string }> {
  const worker = await register(db.pool, `runs ${task}`);
  const id = await enqueue(db.pool, task, options);
  await claimOne(db.pool, worker, { tasks: [task] });
  return { worker, id };
}

test("B7: a purge in an open transaction keeps no sweep waiting", async () => {
  const cancelled = await running("cancelled");
  await value(db.pool, "select rouse.cancel($1)", [cancelled.id]);
  await db.query("delete from rouse.job where id = $1", [cancelled.id]);
  const client = await transaction();
  await client.query("select rouse.purge($1)", [cancelled.id]);
  const lost = await running("lost");
  await sweepAtOnce(suspect(lost.worker));
  assert.equal(await stateOf(lost.id), "ready");
  await client.query("rollback");
  await sweep(0);
  assert.deepEqual(await rows(db.pool, "select from rouse.cancel_request"), []);
});

test("B7: a job that nobody's worker runs, of whose coalescing key another one is being enqueued, keeps no sweep waiting", async () => {
  const orphan = await running("orphan", { unique_key: "k", unique_while: "waiting" });
  await db.query("delete from rouse.worker where id = $1", [orphan.worker]);
  const client = await transaction();
  await enqueue(client, "orphan", { unique_key: "k", unique_while: "waiting" });
  const lost = await running("lost");
  await sweepAtOnce(suspect(lost.worker));
  assert.equal(await stateOf(lost.id), "ready");
  assert.equal(await stateOf(orphan.id), "running");
  await client.query("rollback");
  await sweep(0);
  assert.equal(await stateOf(orphan.id), "ready");
});

test("B7: one job that cannot be handed over keeps no other one from it, and a beat says what is wrong with it", async () => {
  const worker = await register(db.pool, "dead");
  const [bad, good] = [await enqueue(db.pool, "bad"), await enqueue(db.pool, "good")];
  await claim(db.pool, worker, { most: 2 });
  const watcher = await register(db.pool, "watcher");
  await db.query(`
    create function refuse_bad() returns trigger language plpgsql as
      $$ begin raise 'this table takes no error of job %', new.job_id; end $$;
    create trigger refuse_bad before insert on rouse.attempt_error
      for each row when (new.job_id = ${bad}) execute function refuse_bad()`);
  try {
    const trouble = await value(db.pool, "select trouble from rouse.beat_v1($1, $2)", [watcher, suspect(worker)]);
    assert.equal(trouble, `job ${bad} of worker "dead" cannot be handed over: this table takes no error of job ${bad}`);
    assert.deepEqual([await stateOf(bad), await stateOf(good)], ["running", "ready"]);
    // The row of its worker stays, and so do the tries, also where nobody suspects it any more.
    assert.match(await value(db.pool, "select trouble from rouse.beat_v1($1)", [watcher]), /cannot be handed over/);
  } finally {
    await db.query("drop trigger refuse_bad on rouse.attempt_error");
  }
  assert.equal(await value(db.pool, "select trouble from rouse.beat_v1($1)", [watcher]), null);
  assert.equal(await stateOf(bad), "ready");
  assert.deepEqual(await rows(db.pool, "select from rouse.worker where id = $1", [worker]), []);
});

test("B8: a worker that was given up is told so, also while one of its jobs is locked and waits to be handed over", async () => {
  const worker = await register(db.pool, "cut off");
  const ids = [await enqueue(db.pool, "locked"), await enqueue(db.pool, "lost")];
  await claim(db.pool, worker, { most: 2 });
  const client = await transaction();
  await client.query("select rouse.cancel($1)", [ids[0]]);
  await value(db.pool, "select rouse.sweep($1)", [suspect(worker)]);
  assert.deepEqual([await stateOf(ids[0]!), await stateOf(ids[1]!)], ["running", "ready"]);
  await value(db.pool, "select rouse.hold_v1($1)", [worker]);
  assert.equal(await value(db.pool, "select known from rouse.beat_v1($1)", [worker]), false);
  await client.query("rollback");
  await sweep(0);
  assert.equal(await stateOf(ids[0]!), "ready");
});

test("D3: a clock set back an hour delays no rescue by more than the graces", async () => {
  const { worker, id } = await running("lost");
  await db.query("update rouse.worker set holds_lock = true where id = $1", [worker]);
  // Seen by a clock that was an hour ahead: the first beat to a server that has started, and a lock that is missing.
  await db.query("delete from rouse.server_run");
  await sweep(3_600);
  assert.equal(await value(db.pool, "select lost_at > now() + interval '50 minutes' from rouse.worker"), true);
  await sweep(0);
  await sweep(9);
  assert.equal(await stateOf(id), "running");
  await sweep(11);
  assert.equal(await stateOf(id), "ready");
});

test("B7: of a server that has started, workers who have not come back in 10 s are dead, though they are most of all", async () => {
  const lost = [];
  for (const task of ["a", "b", "c", "d"]) lost.push(await running(task));
  await db.query("update rouse.worker set holds_lock = true");
  await db.query("delete from rouse.server_run");
  await sweep(0);
  await sweep(9);
  assert.deepEqual(await rows(db.pool, "select distinct state from rouse.job"), [{ state: "running" }]);
  await sweep(11);
  assert.deepEqual(await rows(db.pool, "select distinct state from rouse.job"), [{ state: "ready" }]);
});
