import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { claim, claimOne, declare, enqueue, listen, register, rows, sleeper, value } from "../support/engine.ts";
import { clearLimits, complete, fail, ids, states } from "./support.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clearLimits(db);
  worker = await register(db.pool);
});

const key = { concurrency_key: "customer 17" };
const setLimit = (options: string) => db.query(`select rouse.set_limit(${options})`);

test("B16: of the jobs of a key one runs at a time, by priority, due time and id; others are not held up", async () => {
  const [a, b] = [await enqueue(db.pool, "t", key), await enqueue(db.pool, "u", key)];
  const urgent = await enqueue(db.pool, "t", { ...key, priority: 5 });
  const other = await enqueue(db.pool, "t", { concurrency_key: "customer 18" });
  const free = await enqueue(db.pool, "t");
  const claimed = await claim(db.pool, worker, { most: 10 });
  assert.deepEqual(ids(claimed).sort(), [urgent, other, free].sort());
  assert.deepEqual(await claim(db.pool, worker, { most: 10 }), []);
  await complete(db.pool, claimed.find(({ id }) => id === urgent)!);
  const second = await claimOne(db.pool, worker);
  assert.equal(second.id, a);
  await complete(db.pool, second);
  assert.equal((await claimOne(db.pool, worker)).id, b);
});

test("B16: of very many keys at once none is forgotten, and none has too many: in one statement or, with limits of their own, one by one", async () => {
  await setLimit("task => 'u', each_key => true, concurrency => 2");
  await db.query(`insert into rouse.job (task, concurrency_key)
    select case when n <= 1200 then 't' else 'u' end, 'key ' || n from generate_series(1, 1330) as n, generate_series(1, 3)`);
  for (let calls = 0; await value(db.pool, "select exists (select from rouse.arrival)"); calls += 1) {
    assert.ok(calls < 6, "a call sees to 1,000 lanes, to 100 of them one by one");
    await db.query("select rouse.admit()");
  }
  assert.deepEqual(
    await rows(
      db.pool,
      `select task, ready::integer, count(*)::integer as keys
       from (
         select task, concurrency_key, count(*) filter (where state = 'ready') as ready
         from rouse.job group by task, concurrency_key
       ) as k
       group by task, ready order by task`,
    ),
    [
      { task: "t", ready: 1, keys: 1_200 },
      { task: "u", ready: 2, keys: 130 },
    ],
  );
});

test("B16: whatever frees a slot lets the next one in: complete, fail, release, cancel, purge, expiry, a deleted row", async () => {
  const soon = new Date(Date.now() + 3_600_000);
  for (let n = 0; n < 8; n++)
    await enqueue(db.pool, "t", { ...key, max_attempts: 1, expires_at: n === 5 ? soon : null });
  let job = await claimOne(db.pool, worker);
  const next = async (end: string, asOf?: string) => {
    await db.query(end);
    const before = job.id;
    job = await claimOne(db.pool, worker, asOf === undefined ? {} : { asOf });
    assert.ok(Number(job.id) > Number(before), `after ${end}`);
  };
  await next(`select rouse.complete_v1(${job.id}, '${job.lease}')`);
  await next(`select * from rouse.complete_many_v1('{${job.id}}', '{${job.lease}}')`);
  await next(`select rouse.fail_v1(${job.id}, '${job.lease}', null)`);
  await next(`select rouse.purge(${job.id})`);
  await next(`delete from rouse.job where id = ${job.id}`);
  // The next one has expired when its turn comes.
  await next(`select rouse.complete_v1(${job.id}, '${job.lease}')`, new Date(soon.getTime() + 1).toISOString());
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.archive where state = 'expired'"), 0);
});

test("B16: a job that was ready and is cancelled, or expires, frees its slot too", async () => {
  const [first, second] = [await enqueue(db.pool, "t", key), await enqueue(db.pool, "t", key)];
  await db.query("select rouse.admit()");
  assert.equal(await states(db), "ready blocked");
  await db.query("select rouse.cancel($1)", [first]);
  assert.equal((await claimOne(db.pool, worker)).id, second);
});

test("B16: a released job keeps its place in the line", async () => {
  const [first] = [await enqueue(db.pool, "t", key), await enqueue(db.pool, "t", key)];
  const job = await claimOne(db.pool, worker);
  assert.equal(await value(db.pool, "select rouse.release_v1($1, $2)", [job.id, job.lease]), "blocked");
  assert.equal((await claimOne(db.pool, worker)).id, first);
});

test("B16: the limit holds when a worker dies: its job stands in line again, in its place, and its late end is refused", async () => {
  const other = await register(db.pool, "survivor");
  const first = await enqueue(db.pool, "t", key);
  await enqueue(db.pool, "t", key);
  const lost = await claimOne(db.pool, worker);
  const suspects = await value(
    db.pool,
    "select jsonb_agg(jsonb_build_object('id', id, 'beats', beats)) from rouse.worker where id = $1",
    [worker],
  );
  assert.equal(await value(db.pool, "select rouse.sweep($1)", [JSON.stringify(suspects)]), 1);
  assert.equal(await states(db), "blocked blocked");
  const again = await claimOne(db.pool, other);
  assert.deepEqual([again.id, again.attempt], [first, 2]);
  assert.equal(await complete(db.pool, lost), "stale");
  assert.deepEqual(await claim(db.pool, other), []);
  await complete(db.pool, again);
  assert.equal((await claim(db.pool, other)).length, 1);
});

test("B16: a future or backing-off job does not block its key; it stands in line when it is due", async () => {
  await enqueue(db.pool, "t", { ...key, delay: "1 hour" });
  const failing = await enqueue(db.pool, "t", key);
  const after = await enqueue(db.pool, "t", key);
  await fail(db.pool, await claimOne(db.pool, worker), "tomorrow");
  const job = await claimOne(db.pool, worker);
  assert.equal(job.id, after);
  await db.query("select rouse.retry($1)", [failing]);
  assert.deepEqual(await claim(db.pool, worker), []);
  await complete(db.pool, job);
  assert.equal((await claimOne(db.pool, worker)).id, failing);
});

test("B16: where the limit says that a failed job holds, nobody passes it until its next attempt", async () => {
  await setLimit("task => 't', each_key => true, concurrency => 1, holds => true");
  const [failing, after] = [await enqueue(db.pool, "t", key), await enqueue(db.pool, "t", key)];
  await fail(db.pool, await claimOne(db.pool, worker), "tomorrow");
  assert.deepEqual(await claim(db.pool, worker), []);
  await db.query("select rouse.repair_lanes()");
  assert.equal(await states(db), "scheduled blocked");
  await db.query("select rouse.retry($1)", [failing]);
  const again = await claimOne(db.pool, worker);
  assert.deepEqual([again.id, again.attempt], [failing, 2]);
  await fail(db.pool, again, "tomorrow");
  await db.query("select rouse.cancel($1)", [failing]);
  assert.equal((await claimOne(db.pool, worker)).id, after);
});

test("B16: the limit of a key is its own, or what its task or queue says of each key, and follows a change", async () => {
  const running = async () => (await claim(db.pool, worker, { most: 20 })).length;
  for (let n = 0; n < 12; n++) await enqueue(db.pool, "t", { ...key, queue: "q" });
  assert.equal(await running(), 1);
  await setLimit("queue => 'q', each_key => true, concurrency => 2");
  assert.equal(await running(), 1);
  await setLimit("task => 't', each_key => true, concurrency => 4");
  assert.equal(await running(), 2);
  await setLimit("key => 'customer 17', concurrency => 7");
  assert.equal(await running(), 3);
  await db.query("update rouse.job_limit set concurrency = 8 where kind = 'key'");
  assert.equal(await running(), 1);
  // Lowered: what runs goes on.
  await setLimit("key => 'customer 17', concurrency => 1");
  assert.equal(await running(), 0);
  await db.query("select rouse.drop_limit(key => 'customer 17'), rouse.drop_limit(task => 't', each_key => true)");
  await db.query("select rouse.drop_limit(queue => 'q', each_key => true)");
  assert.equal(await running(), 0);
});

test("a key comes from enqueue, enqueue_many, a plain INSERT, or the task: a constant or a field of the payload", async () => {
  await declare(
    db.pool,
    { name: "fixed", concurrency_key: "printer" },
    { name: "field", concurrency_key: "$.customer.id" },
  );
  await enqueue(db.pool, "fixed");
  await enqueue(db.pool, "fixed", { concurrency_key: "other" });
  await enqueue(db.pool, "field", { payload: { customer: { id: 7 } } });
  await enqueue(db.pool, "field", { payload: { customer: {} } });
  await db.query(`select * from rouse.enqueue_many('[
    {"task": "field", "payload": {"customer": {"id": 8}}}, {"task": "t", "concurrency_key": "k"}, {"task": "fixed"}]')`);
  await db.query("insert into rouse.job (task, concurrency_key) values ('t', 'bulk'), ('t', null)");
  await db.query(
    "insert into rouse.job (task, concurrency_key, run_at) values ('t', 'later', now() + interval '1 day')",
  );
  assert.deepEqual(
    await rows(db.pool, "select concurrency_key as key, state from rouse.job order by id").then((all) =>
      all.map(({ key, state }) => `${key} ${state}`),
    ),
    [
      ...["printer blocked", "other blocked", "7 blocked", "null ready", "8 blocked", "k blocked", "printer blocked"],
      ...["bulk blocked", "null ready", "later scheduled"],
    ],
  );
});

test("B16: jobs from topics and schedules have the key of their task", async () => {
  await declare(db.pool, { name: "t", concurrency_key: "$.id" });
  await db.query("select rouse.subscribe('news', 't')");
  await db.query(`select rouse.publish('news', '{"id": 1}')`);
  await db.query(`select rouse.schedule('s', 'every 10 seconds', task => 't', payload => '{"id": 1}')`);
  await db.query("select rouse.tick(now() + interval '10 seconds')");
  assert.deepEqual(await rows(db.pool, "select concurrency_key as key from rouse.job"), [{ key: "1" }, { key: "1" }]);
  assert.equal(
    (await claim(db.pool, worker, { most: 9, asOf: new Date(Date.now() + 60_000).toISOString() })).length,
    1,
  );
  await db.query("select rouse.unschedule('s')");
});

test("an enqueue under a free key wakes a worker, and so does what frees a key outside of an exchange", async () => {
  await sleeper(db.pool);
  const ear = await listen(db);
  await enqueue(db.pool, "t", key);
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
  const job = await claimOne(db.pool, worker);
  await ear.heard();
  await complete(db.pool, job);
  assert.deepEqual(await ear.heard(), [{ queue: "default" }]);
});

test("a failed job that is retried from the archive has its key again", async () => {
  const id = await enqueue(db.pool, "t", { ...key, max_attempts: 1 });
  await fail(db.pool, await claimOne(db.pool, worker));
  await enqueue(db.pool, "t", key);
  await claimOne(db.pool, worker);
  assert.equal(await value(db.pool, "select rouse.retry($1)", [id]), true);
  assert.equal(await states(db), "blocked running");
});

test("the views say what a job waits for, and how the limits stand", async () => {
  await setLimit("key => 'customer 17', concurrency => 1");
  await enqueue(db.pool, "t", key);
  await enqueue(db.pool, "t", key);
  await claimOne(db.pool, worker);
  const [, blocked] = await rows(db.pool, `select state, "when", concurrency_key from rouse.jobs order by id`);
  assert.deepEqual(blocked, { state: "blocked", when: "waits for key customer 17", concurrency_key: "customer 17" });
  assert.deepEqual(await rows(db.pool, "select kind, name, concurrency, held, blocked from rouse.limits"), [
    { kind: "key", name: "customer 17", concurrency: 1, held: "1", blocked: "1" },
  ]);
});

test("a beat repairs what no arrival told of", async () => {
  await enqueue(db.pool, "t", key);
  await claimOne(db.pool, worker);
  const next = await enqueue(db.pool, "t", key);
  assert.deepEqual(await claim(db.pool, worker), []);
  await db.query("alter table rouse.job disable trigger job_ended");
  await db.query("delete from rouse.job where state = 'running'");
  await db.query("alter table rouse.job enable trigger job_ended");
  assert.deepEqual(await claim(db.pool, worker), []);
  await db.query("select rouse.beat_v1($1)", [worker]);
  assert.equal((await claimOne(db.pool, worker)).id, next);
});

test("doctor knows a key whose slot is held by a job that nobody runs, and jobs that nothing admits", async () => {
  await enqueue(db.pool, "orphan", key);
  await enqueue(db.pool, "t", { ...key, run_at: new Date(Date.now() - 3_600_000) });
  await db.query("update rouse.job set run_at = run_at - interval '2 hours' where task = 'orphan'");
  await db.query("select rouse.admit()");
  await db.query("insert into rouse.job (task, state, run_at) values ('t', 'blocked', now() - interval '1 hour')");
  const findings = await rows<{ subject: string; finding: string }>(
    db.pool,
    "select subject, finding from rouse.doctor() where subject in ('key \"customer 17\"', 'blocked jobs') order by 1",
  );
  assert.deepEqual(
    findings.map(({ subject }) => subject),
    ["blocked jobs", 'key "customer 17"'],
  );
  assert.match(
    findings[1]!.finding,
    /^1 jobs stand in line, the first since .*, and its slot is held by job \d+ of "orphan", which does not run$/,
  );
});
