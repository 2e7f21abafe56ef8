import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import {
  claimOne,
  clear,
  declare,
  enqueue,
  listen,
  pidOf,
  refused,
  register,
  rows,
  type Session,
  sleeper,
  value,
  waitsForLock,
} from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool);
});

const cancel = (id: string, session: Session = db.pool) => value<boolean>(session, "select rouse.cancel($1)", [id]);
const states = () => rows(db.pool, "select id, state from rouse.jobs order by id");
const requests = () => rows(db.pool, "select job_id from rouse.cancel_request");

test("B11: a job that waits is cancelled at the commit, and at once", async () => {
  const ready = await enqueue(db.pool, "mail", { payload: { to: 1 }, unique_key: "k" });
  const later = await enqueue(db.pool, "mail", { delay: "1 hour" });
  const client = await db.connect();
  await client.query("begin");
  assert.equal(await cancel(ready, client), true);
  assert.equal(await value(db.pool, "select state from rouse.jobs where id = $1", [ready]), "ready");
  await client.query("commit");
  assert.equal(await cancel(later), true);
  assert.deepEqual(
    await rows(db.pool, "select id, state, payload, attempt, result, started_at from rouse.archive order by id"),
    [
      {
        id: ready,
        state: "cancelled",
        payload: { to: 1 },
        attempt: 0,
        result: { cancelled_by: "postgres" },
        started_at: null,
      },
      {
        id: later,
        state: "cancelled",
        payload: {},
        attempt: 0,
        result: { cancelled_by: "postgres" },
        started_at: null,
      },
    ],
  );
  assert.equal(await cancel(ready), false, "one that has ended");
  assert.equal(await cancel("987654"), false, "none");
  assert.equal(await value(db.pool, "select rouse.cancel(null)"), false);
  assert.notEqual(await enqueue(db.pool, "mail", { unique_key: "k" }), ready, "its key is free");
});

test("B11: one query cancels many", async () => {
  for (const queue of ["a", "b", "a"]) await enqueue(db.pool, "mail", { queue });
  await rows(db.pool, "select rouse.cancel(id) from rouse.job where queue = 'a'");
  assert.deepEqual(await rows(db.pool, "select queue from rouse.job"), [{ queue: "b" }]);
});

test("B11: a cancel that rolls back has no effect, and nobody hears of it", async () => {
  const waiting = await enqueue(db.pool, "mail", { delay: "1 hour" });
  const running = await enqueue(db.pool, "mail");
  const { lease } = await claimOne(db.pool, worker);
  const ear = await listen(db);
  const client = await db.connect();
  await client.query("begin");
  for (const id of [waiting, running]) assert.equal(await cancel(id, client), true);
  await client.query("rollback");
  assert.deepEqual(await ear.heard(), []);
  assert.equal(await value(db.pool, "select rouse.complete_v1($1, $2)", [running, lease]), "succeeded");
  assert.deepEqual(await states(), [
    { id: waiting, state: "scheduled" },
    { id: running, state: "succeeded" },
  ]);
});

const ends: [title: string, sql: string][] = [
  ["complete_v1", "select rouse.complete_v1($1, $2)"],
  ["complete_many_v1", "select count(*)::text from rouse.complete_many_v1(array[$1::bigint], array[$2::uuid])"],
  ["fail_v1", "select rouse.fail_v1($1, $2, '{}')"],
  ["release_v1", "select rouse.release_v1($1, $2)"],
];
for (const [title, sql] of ends) {
  test(`B11: a running job that was cancelled ends so, whatever it then does: ${title}`, async () => {
    const id = await enqueue(db.pool, "mail");
    const { lease } = await claimOne(db.pool, worker);
    assert.equal(await cancel(id), true);
    assert.deepEqual(await rows(db.pool, "select * from rouse.cancels_v1($1)", [worker]), [{ id, lease }]);
    assert.equal(await value(db.pool, "select cancels from rouse.beat_v1($1)", [worker]), true);
    assert.equal(await value(db.pool, "select state from rouse.job"), "running", "until its handler has ended");
    const stale = "00000000-0000-4000-8000-000000000000";
    await value(db.pool, sql, [id, stale]);
    assert.equal(await value(db.pool, "select state from rouse.job"), "running", "B8: a stale end changes nothing");
    assert.equal(await value(db.pool, sql, [id, lease]), title === "complete_many_v1" ? "0" : "cancelled");
    assert.deepEqual(await states(), [{ id, state: "cancelled" }]);
    assert.deepEqual(await requests(), []);
    assert.deepEqual(await rows(db.pool, "select message from rouse.attempt_error"), []);
    assert.equal(await value(db.pool, "select cancels from rouse.beat_v1($1)", [worker]), false);
  });
}

test("B11: of a batch that ends, those cancelled end so and the others succeed", async () => {
  const ids = [await enqueue(db.pool, "mail"), await enqueue(db.pool, "mail"), await enqueue(db.pool, "mail")];
  const leases = [];
  for (const _ of ids) leases.push((await claimOne(db.pool, worker, { most: 1 })).lease);
  await cancel(ids[1]!);
  await db.query("select rouse.exchange_v1($1, null, null, 0, $2, $3, $4)", [
    worker,
    ids,
    leases,
    JSON.stringify(Object.fromEntries(ids.map((id) => [id, "done"]))),
  ]);
  assert.deepEqual(await rows(db.pool, "select state, result from rouse.archive order by id"), [
    { state: "succeeded", result: "done" },
    { state: "cancelled", result: { cancelled_by: "postgres" } },
    { state: "succeeded", result: "done" },
  ]);
});

test("B11: an end that comes while the cancel is not committed yet waits for it", async () => {
  const client = await db.connect();
  for (const [verb, state] of [
    ["commit", "cancelled"],
    ["rollback", "scheduled"],
  ]) {
    const id = await enqueue(db.pool, "mail");
    const { lease } = await claimOne(db.pool, worker);
    await client.query("begin");
    await cancel(id, client);
    const fail = (wait: boolean) =>
      [`select rouse.fail_v1($1, $2, '{}', wait => ${wait})`, [id, lease]] as [string, string[]];
    assert.equal(await value(db.pool, ...fail(false)), "busy");
    assert.deepEqual(
      await rows(db.pool, "select outcome from rouse.complete_many_v1(array[$1::bigint], array[$2::uuid])", [
        id,
        lease,
      ]),
      [{ outcome: "busy" }],
    );
    const other = await db.connect();
    const pid = await pidOf(other);
    const ending = value(other, ...fail(true));
    await waitsForLock(db, pid);
    await client.query(verb!);
    assert.equal(await ending, state);
  }
});

test("B11: a cancel that comes while the end is not committed yet finds the job ended, or waiting", async () => {
  const client = await db.connect();
  const other = await db.connect();
  const pid = await pidOf(other);
  for (const [end, found] of [
    ["complete_v1($1, $2)", false],
    ["fail_v1($1, $2, '{}')", true],
  ]) {
    const id = await enqueue(db.pool, "mail");
    const { lease } = await claimOne(db.pool, worker);
    await client.query("begin");
    await client.query(`select rouse.${end}`, [id, lease]);
    const cancelling = cancel(id, other);
    await waitsForLock(db, pid);
    await client.query("commit");
    assert.equal(await cancelling, found);
  }
  assert.deepEqual(
    (await states()).map(({ state }) => state),
    ["succeeded", "cancelled"],
  );
});

test("B11: the job of a worker that dies or stops while it is cancelled ends cancelled", async () => {
  for (const end of ["delete from rouse.worker where id = $1", "select rouse.deregister_v1($1)"]) {
    const mortal = await register(db.pool, "mortal");
    const id = await enqueue(db.pool, "mail");
    await claimOne(db.pool, mortal);
    await cancel(id);
    await db.query(end, [mortal]);
    await db.query("select rouse.sweep()");
    assert.equal(await value(db.pool, "select state from rouse.jobs where id = $1", [id]), "cancelled");
  }
});

test("the notification names the worker that holds the job, once a transaction", async () => {
  for (let n = 0; n < 3; n++) await enqueue(db.pool, "mail");
  await db.query("select rouse.claim_v1($1, most => 3)", [worker]);
  const ear = await listen(db);
  await db.query("select rouse.cancel(id) from rouse.job");
  assert.deepEqual(await ear.heard(), [{ cancel: worker }]);
});

test("A9: a cancelled job can be run again, and is not cancelled then", async () => {
  const id = await enqueue(db.pool, "mail");
  const { lease } = await claimOne(db.pool, worker);
  await cancel(id);
  await db.query("select rouse.release_v1($1, $2)", [id, lease]);
  assert.equal(await value(db.pool, "select rouse.retry($1)", [id]), true);
  const again = await claimOne(db.pool, worker);
  assert.equal(await value(db.pool, "select rouse.complete_v1($1, $2)", [id, again.lease]), "succeeded");
});

test("a request whose job is gone is swept away", async () => {
  const id = await enqueue(db.pool, "mail");
  await claimOne(db.pool, worker);
  await cancel(id);
  await db.query("select rouse.sweep()");
  assert.equal((await requests()).length, 1, "the job still runs");
  await db.query("delete from rouse.job");
  await db.query("select rouse.sweep()");
  assert.deepEqual(await requests(), []);
});

test("nothing is kept of cancelled jobs of a task that keeps nothing", async () => {
  await declare(db.pool, { name: "fleeting", keep_failed: "0" });
  await cancel(await enqueue(db.pool, "fleeting"));
  assert.deepEqual(await states(), []);
});

test("A18: reschedule gives a job that waits another time, queue or priority, and wakes workers", async () => {
  const id = await enqueue(db.pool, "mail", { delay: "1 hour" });
  const change = (options: string) => value<boolean>(db.pool, `select rouse.reschedule($1, ${options})`, [id]);
  const look = "select state, queue, priority, run_at < clock_timestamp() as due from rouse.job";
  const ear = await listen(db);
  await sleeper(db.pool);
  assert.equal(await change("run_at => now()"), true);
  assert.deepEqual(await rows(db.pool, look), [{ state: "ready", queue: "default", priority: 0, due: true }]);
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
  assert.equal(await change("queue => 'post', priority => 7"), true);
  assert.deepEqual(await rows(db.pool, look), [{ state: "ready", queue: "post", priority: 7, due: true }]);
  assert.deepEqual(await ear.heard(), [{ queue: "post" }]);
  assert.equal(await change("delay => '1 day'"), true);
  assert.deepEqual(await rows(db.pool, look), [{ state: "scheduled", queue: "post", priority: 7, due: false }]);
  assert.equal(await change("run_at => now()"), true);
  const { lease } = await claimOne(db.pool, worker);
  assert.equal(await change("priority => 1"), false, "a running one");
  await db.query("select rouse.complete_v1($1, $2)", [id, lease]);
  assert.equal(await change("priority => 1"), false, "one that has ended");
});

test("reschedule refuses bad values by name", async () => {
  const id = await enqueue(db.pool, "mail");
  const cases: [string, RegExp][] = [
    ["run_at => null", /reschedule changes nothing/],
    ["run_at => now(), delay => '1 s'", /both run_at and delay/],
    ["run_at => 'infinity'", /run_at is infinity/],
    ["delay => '-1 s'", /delay -00:00:01/],
    ["priority => 101", /priority 101/],
    ["queue => ''", /queue '' has 0 characters/],
  ];
  for (const [options, message] of cases) {
    const error = await refused(db.query(`select rouse.reschedule($1, ${options})`, [id]));
    assert.equal(error.code, "22023");
    assert.match(error.message, message);
    assert.ok(error.hint);
  }
});
