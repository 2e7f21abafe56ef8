import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import {
  type Claimed,
  claim,
  claimOne,
  clear,
  declare,
  enqueue,
  pidOf,
  register,
  rows,
  value,
  waitsForLock,
} from "../support/engine.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool);
});

/** Every call that ends an attempt, and what it answers where the attempt is its own. */
const endings: [call: string, own: string][] = [
  ["complete_v1($1, $2)", "succeeded"],
  ["fail_v1($1, $2, null)", "scheduled"],
  ["fail_v1($1, $2, null, wait => false)", "scheduled"],
  ["fail_v1($1, $2, null, retry => false)", "failed"],
  ["release_v1($1, $2)", "ready"],
  ["release_v1($1, $2, false)", "ready"],
];

async function end(call: string, job: { id: string; lease: string }): Promise<string> {
  return await value<string>(db.pool, `select rouse.${call}`, [job.id, job.lease]);
}

async function completeMany(jobs: { id: string; lease: string }[]) {
  return await rows(db.pool, "select * from rouse.complete_many_v1($1, $2) order by id", [
    jobs.map(({ id }) => id),
    jobs.map(({ lease }) => lease),
  ]);
}

const traces = () =>
  rows(
    db.pool,
    "select id, state from rouse.jobs union all select job_id, message from rouse.attempt_error order by 1, 2",
  );

for (const [call, own] of endings) {
  test(`B8: ${call} of a stale attempt is refused and changes nothing`, async () => {
    const id = await enqueue(db.pool, "mail");
    const first = await claimOne(db.pool, worker);
    await db.query("select rouse.release_v1($1, $2)", [first.id, first.lease]);
    const second = await claimOne(db.pool, worker);
    assert.notEqual(second.lease, first.lease);
    assert.equal(await end(call, first), "stale");
    assert.equal(await end(call, { id, lease: randomUUID() }), "stale");
    assert.equal(await value(db.pool, `select rouse.${call}`, [id, null]), "stale");
    assert.equal(await value(db.pool, `select rouse.${call}`, [null, second.lease]), "stale");
    assert.deepEqual(await traces(), [{ id, state: "running" }]);
    assert.equal(await end(call, second), own);
    assert.equal(await end(call, second), "stale", "nor can it end twice");
  });
}

test("B8: complete_many_v1 finishes its own attempts and names the stale ones", async () => {
  await db.query("select rouse.enqueue('mail') from generate_series(1, 3)");
  const [one, two, three] = (await claim(db.pool, worker, { most: 3 })) as [Claimed, Claimed, Claimed];
  await end("release_v1($1, $2)", two);
  await claimOne(db.pool, worker);
  assert.deepEqual(await completeMany([three, two, { id: "777777", lease: one.lease }, one, one]), [
    { id: two.id, outcome: "stale" },
    { id: "777777", outcome: "stale" },
  ]);
  assert.deepEqual(await traces(), [
    { id: one.id, state: "succeeded" },
    { id: two.id, state: "running" },
    { id: three.id, state: "succeeded" },
  ]);
  assert.deepEqual(await rows(db.pool, "select * from rouse.complete_many_v1('{}', '{}')"), []);
  assert.deepEqual(await rows(db.pool, "select * from rouse.complete_many_v1(null, null)"), []);
});

test("B8: of a finish that meets a rescue, in either order, one wins", async () => {
  const [finisher, rescuer] = [await db.connect(), await db.connect()];
  const rescue = "select rouse.hand_over($1, 'dead', clock_timestamp())";

  await enqueue(db.pool, "mail");
  let job = await claimOne(db.pool, worker);
  await finisher.query("begin");
  await finisher.query("select rouse.complete_v1($1, $2)", [job.id, job.lease]);
  assert.equal(await value(rescuer, rescue, [worker]), 0, "the rescue leaves alone what is being finished");
  await finisher.query("commit");
  assert.equal(await value(rescuer, rescue, [worker]), 0);
  assert.deepEqual(await traces(), [{ id: job.id, state: "succeeded" }]);

  await clear(db);
  worker = await register(db.pool);
  await enqueue(db.pool, "mail");
  job = await claimOne(db.pool, worker);
  await rescuer.query("begin");
  assert.equal(await value(rescuer, rescue, [worker]), 1);
  const pid = await pidOf(finisher);
  const late = value(finisher, "select rouse.complete_v1($1, $2)", [job.id, job.lease]);
  await waitsForLock(db, pid);
  await rescuer.query("commit");
  assert.equal(await late, "stale");
  assert.deepEqual(await traces(), [
    { id: job.id, state: "ready" },
    { id: job.id, state: 'worker "dead" died or vanished during this attempt' },
  ]);
});

test("B8: 300 jobs finished and rescued at the same time end once each", async () => {
  await declare(db.pool, { name: "mail" });
  const rescuer = await db.connect();
  for (let round = 0; round < 10; round++) {
    await db.query("select rouse.enqueue('mail') from generate_series(1, 30)");
    const jobs = await claim(db.pool, worker, { most: 30 });
    const [refusals, rescued] = await Promise.all([
      completeMany(jobs),
      value<number>(rescuer, "select rouse.hand_over($1, 'dead', clock_timestamp())", [worker]),
    ]);
    const busy = refusals.filter(({ outcome }) => outcome === "busy").length;
    const done = 30 - refusals.length;
    const left = await value<number>(db.pool, "select count(*)::integer from rouse.job where state = 'running'");
    assert.equal(done + rescued + left, 30);
    assert.ok(left <= busy, "what neither ended was held by the other for a moment");
    assert.deepEqual(
      await rows(
        db.pool,
        "select count(*)::integer as n from rouse.archive union all select count(*)::integer from rouse.attempt_error",
      ),
      [{ n: done }, { n: rescued }],
    );
    await db.query("truncate rouse.job, rouse.archive, rouse.attempt_error");
  }
});

test("B12: the row of a running job may be deleted: its end is stale and leaves nothing", async () => {
  for (const [call] of endings) {
    const id = await enqueue(db.pool, "mail");
    const job = await claimOne(db.pool, worker);
    await db.query("delete from rouse.job where id = $1", [id]);
    assert.equal(await end(call, job), "stale", call);
    assert.deepEqual(await completeMany([job]), [{ id, outcome: "stale" }]);
    assert.deepEqual(await traces(), []);
  }
});

test("B26: a batch with a row that an open transaction holds finishes the others at once", async () => {
  await db.query("select rouse.enqueue('mail') from generate_series(1, 20)");
  const jobs = await claim(db.pool, worker, { most: 20 });
  const holder = await db.connect();
  await holder.query("begin");
  await holder.query("select from rouse.job where id = $1 for update", [jobs[7]!.id]);
  assert.deepEqual(await completeMany(jobs), [{ id: jobs[7]!.id, outcome: "busy" }]);
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.archive"), 19);
  assert.equal(await end("fail_v1($1, $2, null, wait => false)", jobs[7]!), "busy");
  assert.equal(await end("release_v1($1, $2, false)", jobs[7]!), "busy");
  await holder.query("rollback");
  assert.deepEqual(await completeMany([jobs[7]!]), []);
  assert.deepEqual(await rows(db.pool, "select from rouse.job"), []);
});

test("A11: effects and completion in one transaction commit or roll back together", async () => {
  await db.query("create table sent (address text)");
  await enqueue(db.pool, "mail");
  const job = await claimOne(db.pool, worker);
  const client = await db.connect();
  for (const [last, sent, state] of [
    ["rollback", 0, "running"],
    ["commit", 1, "succeeded"],
  ] as const) {
    await client.query("begin");
    await client.query("insert into sent values ('a@example.org')");
    assert.equal(await value(client, "select rouse.complete_v1($1, $2, '7')", [job.id, job.lease]), "succeeded");
    await client.query(last);
    assert.equal(await value(db.pool, "select count(*)::integer from sent"), sent);
    assert.equal(await value(db.pool, "select state from rouse.jobs where id = $1", [job.id]), state);
  }
});
