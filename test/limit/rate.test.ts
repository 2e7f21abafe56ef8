import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { type Claimed, claim, claimOne, enqueue, register, rows, value } from "../support/engine.ts";
import { until } from "../support/until.ts";
import { clearLimits, complete, ids } from "./support.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clearLimits(db);
  worker = await register(db.pool);
});

const setLimit = (options: string) => db.query(`select rouse.set_limit(${options})`);
const claimed = async (options = {}) => (await claim(db.pool, worker, { most: 50, ...options })).length;

test("B17: a rate lets burst at once and then one a step, never more, and all of it under backlog", async () => {
  await setLimit("task => 't', rate => 10, period => '1 second', burst => 3");
  for (let n = 0; n < 60; n++) await enqueue(db.pool, "t");
  const start = Date.now() + 60_000;
  const starts: number[] = [];
  for (let ms = 0; ms <= 2000; ms += 20) {
    const jobs = await claim(db.pool, worker, { most: 50, asOf: new Date(start + ms).toISOString() });
    for (const _ of jobs) starts.push(ms);
  }
  assert.deepEqual(starts.slice(0, 5), [0, 0, 0, 100, 200]);
  assert.equal(starts.length, 3 + 20);
});

test("B17: jobs that were let in and found no worker do not start together with those that come after", async () => {
  await setLimit("task => 't', rate => 10, period => '1 second', burst => 3");
  for (let n = 0; n < 20; n++) await enqueue(db.pool, "t");
  const start = Date.now() + 60_000;
  const at = (ms: number) => new Date(start + ms).toISOString();
  // Workers that serve other tasks admit them, and nobody claims them for a second.
  for (let ms = 0; ms <= 1000; ms += 50) assert.equal(await claimed({ asOf: at(ms), tasks: ["other"] }), 0);
  assert.equal(await claimed({ asOf: at(1000) }), 3);
  assert.equal(await claimed({ asOf: at(1000) }), 0);
  assert.equal(await claimed({ asOf: at(1099) }), 0);
  assert.equal(await claimed({ asOf: at(1100) }), 1);
});

test("B17: heads are let in by priority, and slot and token are taken together", async () => {
  await setLimit("task => 't', concurrency => 1, rate => 10, period => '1 second'");
  await enqueue(db.pool, "t");
  await enqueue(db.pool, "t");
  const urgent = await enqueue(db.pool, "t", { priority: 9 });
  const start = Date.now() + 60_000;
  const at = (ms: number) => new Date(start + ms).toISOString();
  const first = await claimOne(db.pool, worker, { asOf: at(0) });
  assert.equal(first.id, urgent);
  assert.equal(await claimed({ asOf: at(500) }), 0, "the slot is taken");
  await complete(db.pool, first);
  const second = await claimOne(db.pool, worker, { asOf: at(500) });
  await complete(db.pool, second);
  assert.equal(await claimed({ asOf: at(599) }), 0, "the token of the time in between was not spent twice");
  assert.equal(await claimed({ asOf: at(600) }), 1);
});

test("B17: a repair gives away no token of a start that has not been counted, though its job has ended", async () => {
  await setLimit("task => 't', rate => 1, period => '1 minute'");
  for (let n = 0; n < 3; n++) await enqueue(db.pool, "t");
  await complete(db.pool, await claimOne(db.pool, worker));
  assert.equal(await value(db.pool, "select rouse.repair_lanes()"), 0);
  assert.equal(await claimed(), 0);

  // What left no arrival is its to repair, once the start is counted.
  await db.query("delete from rouse.meter");
  await db.query("insert into rouse.holder (lane, job_id) values ('task:t', 0)");
  await value(db.pool, "select rouse.repair_lanes()");
  assert.equal(await claimed(), 1);
});

test("B17: a job that was given back starts by a token of its own, whoever lets it in", async () => {
  await setLimit("task => 't', rate => 1, period => '1 second', burst => 2");
  for (let n = 0; n < 6; n++) await enqueue(db.pool, "t");
  const start = Date.now() + 60_000;
  const at = (s: number) => new Date(start + s * 1_000).toISOString();
  const release = ({ id, lease }: Claimed) => value(db.pool, "select rouse.release_v1($1, $2)", [id, lease]);
  const repair = (s: number) => db.query("select rouse.repair_lanes($1)", [at(s)]);

  // Its start was counted; the repair of a beat lets it in, before its end is taken notice of.
  const [first] = await claim(db.pool, worker, { most: 50, asOf: at(0) });
  assert.equal(await claimed({ asOf: at(0) }), 0);
  await release(first!);
  await repair(30);
  assert.equal(await claimed({ asOf: at(30) }), 2);

  // Its start was not.
  const [again] = await claim(db.pool, worker, { most: 50, asOf: at(60) });
  await release(again!);
  await repair(60);
  assert.equal(await claimed({ asOf: at(60) }), 0);
  assert.equal(await claimed({ asOf: at(61) }), 1);
});

test("B17: a job that keeps its slot when it fails starts again by a token of its own", async () => {
  await setLimit("task => 't', rate => 1, period => '1 second', burst => 2, concurrency => 3, holds => true");
  for (let n = 0; n < 6; n++) await enqueue(db.pool, "t");
  const start = Date.now() + 60_000;
  const at = (s: number) => new Date(start + s * 1_000).toISOString();
  const [first, second] = await claim(db.pool, worker, { most: 50, asOf: at(0) });
  assert.equal(await claimed({ asOf: at(0) }), 0);
  await complete(db.pool, second!);
  await value(db.pool, "select rouse.fail_v1($1, $2, '{}', retry_at => clock_timestamp())", [first!.id, first!.lease]);
  assert.equal(await claimed({ asOf: at(30) }), 2);
});

test("B17: the slot of a key under a rate is given away when its start has been counted", async () => {
  await setLimit("task => 't', each_key => true, rate => 1, period => '1 minute', concurrency => 1");
  for (let n = 0; n < 2; n++) await enqueue(db.pool, "t", { concurrency_key: "k" });
  const first = await claimOne(db.pool, worker);
  // More than a call sees to, and before this key's.
  await db.query("insert into rouse.arrival (lane) select 'key:a' || n from generate_series(1, 1000) as n");
  await db.query("select from rouse.exchange_v1($1, null, null, 0, array[$2::bigint], array[$3::uuid])", [
    worker,
    first.id,
    first.lease,
  ]);
  await db.query("select rouse.repair_lanes()");
  assert.equal(await claimed(), 0);
});

test("B17: a start that comes while admission is under way keeps its token, though its job ends too", async () => {
  await setLimit("task => 't', rate => 1, period => '1 hour', burst => 2");
  await enqueue(db.pool, "t");
  await claimOne(db.pool, worker);
  // Let in by a repair, so that what tells of its coming is still there.
  const second = await enqueue(db.pool, "t", { delay: "1 minute" });
  await db.query("select rouse.promote(clock_timestamp() + interval '2 minutes'), rouse.repair_lanes()");
  const [locking, admitting] = [await db.connect(), await db.connect()];
  await locking.query("begin");
  await locking.query("select from rouse.meter for update");
  const pid = await value(admitting, "select pg_backend_pid()");
  const admitted = admitting.query("select rouse.admit()");
  const waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = $1";
  await until(() => value(db.pool, waits, [pid]), { message: "the admission waits for the rate's row" });
  const job = await claimOne(db.pool, worker);
  assert.equal(job.id, second);
  await complete(db.pool, job);
  await locking.query("rollback");
  await admitted;

  await enqueue(db.pool, "t");
  await db.query("select rouse.repair_lanes()");
  assert.equal(await claimed(), 0);
});

test("B17: a rate of each key and one of the queue are both kept; a changed rate counts from then on", async () => {
  await setLimit("task => 't', each_key => true, rate => 1, period => '1 second'");
  await setLimit("queue => 'default', rate => 4, period => '1 second', burst => 2");
  for (const key of ["a", "b", "c"]) for (let n = 0; n < 5; n++) await enqueue(db.pool, "t", { concurrency_key: key });
  const start = Date.now() + 60_000;
  const keys = async (ms: number) => {
    const jobs = await claim(db.pool, worker, { most: 50, asOf: new Date(start + ms).toISOString() });
    const found = await rows(db.pool, "select concurrency_key as key from rouse.job where id = any ($1) order by 1", [
      ids(jobs),
    ]);
    return found.map(({ key }) => key).join("");
  };
  const first = await keys(0);
  assert.equal(first.length, 2);
  assert.equal(
    (await keys(250)) + first,
    [...`${first}abc`].filter((k, n, all) => all.indexOf(k) === n && !first.includes(k)).join("") + first,
  );
  assert.equal(await keys(999), "");
  assert.equal((await keys(1000)).length, 2);
  await setLimit("task => 't', each_key => true, rate => 100, period => '1 second'");
  await setLimit("queue => 'default', rate => 100, period => '1 second', burst => 2");
  assert.equal((await keys(2000)).length, 2);
  assert.equal((await keys(2010)).length, 1);
});

test("a look for jobs names the time of the next token", async () => {
  await setLimit("task => 't', rate => 1, period => '1 minute'");
  await enqueue(db.pool, "t");
  await enqueue(db.pool, "t");
  await db.query("select rouse.exchange_v1($1, null, null, 5)", [worker]);
  const seconds = await value<number>(
    db.pool,
    "select extract(epoch from due - clock_timestamp())::float from rouse.next_look(null, null, clock_timestamp(), null)",
  );
  assert.ok(seconds > 50 && seconds <= 60, `${seconds} s`);
});

test("what is kept of a rate goes when it says nothing any more", async () => {
  await setLimit("task => 't', rate => 10, period => '1 second'");
  await enqueue(db.pool, "t");
  const job = await claimOne(db.pool, worker);
  await db.query("select rouse.maintain()");
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.meter"), 1);
  await complete(db.pool, job);
  await db.query("select rouse.admit()");
  await db.query("select rouse.drop_stale(now() + interval '10 minutes')");
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.meter"), 0);
});
