import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  claimOne,
  declare,
  enqueue,
  listen,
  refused,
  register,
  rows,
  type Session,
  value,
} from "../support/engine.ts";
import { until } from "../support/until.ts";
import { clearLimits, complete, ids, states } from "./support.ts";

const db = testDatabase();
let worker: number;

beforeEach(async () => {
  await clearLimits(db);
  worker = await register(db.pool);
});

const setLimit = (options: string) => db.query(`select rouse.set_limit(${options})`);
const claimed = async (options = {}) => (await claim(db.pool, worker, { most: 50, ...options })).length;

test("B16: a task's and a queue's limit hold for all workers, and take in what is ready already", async () => {
  for (let n = 0; n < 10; n++) await enqueue(db.pool, n % 2 === 0 ? "t" : "u", { queue: "q" });
  await setLimit("queue => 'q', concurrency => 3");
  await setLimit("task => 't', concurrency => 1");
  const jobs = await claim(db.pool, worker, { most: 50 });
  assert.deepEqual(jobs.map(({ task }) => task).sort(), ["t", "u", "u"]);
  await enqueue(db.pool, "t");
  assert.equal(await claimed(), 0);
  await complete(db.pool, jobs.find(({ task }) => task === "t")!);
  const next = await claimOne(db.pool, worker);
  assert.equal(next.task, "t");
  await complete(db.pool, next);
  await db.query("select rouse.drop_limit(queue => 'q'), rouse.drop_limit(task => 't')");
  assert.equal(await claimed(), 7);
});

test("B16: slots of key, task and queue are taken together, and a busy key's jobs keep nobody else of the task waiting", async () => {
  await setLimit("task => 't', concurrency => 2");
  for (let n = 0; n < 30; n++) await enqueue(db.pool, "t", { concurrency_key: "busy" });
  const other = await enqueue(db.pool, "t", { concurrency_key: "other" });
  const third = await enqueue(db.pool, "t", { concurrency_key: "third" });
  const jobs = await claim(db.pool, worker, { most: 50 });
  assert.equal(jobs.length, 2);
  assert.ok(ids(jobs).includes(other));
  // The key's slot is free again and so is one of the task: the order is that of the jobs.
  await complete(db.pool, jobs.find(({ id }) => id !== other)!);
  const fourth = await claimOne(db.pool, worker);
  await complete(db.pool, jobs.find(({ id }) => id === other)!);
  const fifth = await claimOne(db.pool, worker);
  assert.ok(ids([fourth, fifth]).includes(third));
  // Down to the last one, in the order of the key.
  const order: string[] = [];
  for (let job = [fourth, fifth]; job.length > 0; job = await claim(db.pool, worker, { most: 50 })) {
    for (const one of job) {
      if ((await value(db.pool, "select concurrency_key from rouse.job where id = $1", [one.id])) === "busy")
        order.push(one.id);
      await complete(db.pool, one);
    }
  }
  assert.equal(await states(db), "");
  assert.deepEqual(
    order,
    order.toSorted((a, b) => Number(a) - Number(b)),
  );
});

test("B16: jobs of a transaction that was open when the limit came are found by the sweep", async () => {
  const open = await db.connect();
  await open.query("begin");
  for (let n = 0; n < 3; n++) await enqueue(open, "t");
  await setLimit("task => 't', concurrency => 1");
  await db.query("select rouse.sweep()");
  await open.query("commit");
  await db.query("select rouse.sweep()");
  assert.equal(await states(db), "blocked blocked blocked");
  assert.equal(await claimed(), 1);
  // Transactions of other databases are open too.
  await until(
    async () => {
      await db.query("select rouse.sweep()");
      return value<boolean>(db.pool, "select settled from rouse.job_limit");
    },
    { message: "the limit is settled" },
  );
});

test("B20: a task or a key is paused at once, and resumed, from psql", async () => {
  await enqueue(db.pool, "t");
  await enqueue(db.pool, "u", { concurrency_key: "k" });
  await db.query("select rouse.admit(), rouse.pause(task => 't'), rouse.pause(key => 'k')");
  await enqueue(db.pool, "t");
  await enqueue(db.pool, "u", { concurrency_key: "k" });
  const free = await enqueue(db.pool, "u");
  assert.deepEqual(ids(await claim(db.pool, worker, { most: 9 })), [free]);
  await db.query("select rouse.beat_v1($1)", [worker]);
  assert.equal(await claimed(), 0);
  await db.query("select rouse.resume(task => 't')");
  assert.equal(await claimed(), 2);
  await db.query("select rouse.resume(key => 'k')");
  assert.equal(await claimed(), 1);
  assert.deepEqual(await rows(db.pool, "select from rouse.job_limit"), []);
});

for (const paused of ["queue => 'slow'", "task => 'slow'"]) {
  test(`B20: what is paused (${paused}) takes no slot of a key from others, and is let in when it is resumed`, async () => {
    const slow = async () => enqueue(db.pool, "slow", { queue: "slow", concurrency_key: "k" });
    const fast = async () => enqueue(db.pool, "fast", { concurrency_key: "k" });
    const admitted = await slow();
    await db.query("select rouse.admit()");
    await db.query(`select rouse.pause(${paused})`);
    const later = [await slow(), await slow()];
    const others = [await fast(), await fast()];
    for (const other of others) {
      const [job] = await claim(db.pool, worker, { most: 9 });
      assert.equal(job?.id, other);
      await complete(db.pool, job!);
    }
    assert.deepEqual(await claim(db.pool, worker, { most: 9 }), []);
    assert.equal(await states(db), "blocked blocked blocked");
    const lane = paused.replace(" => '", " ").replace("'", "");
    assert.deepEqual(await rows(db.pool, "select distinct \"when\" from rouse.jobs where state = 'blocked'"), [
      { when: `waits for ${lane}` },
    ]);
    assert.match(
      await value(db.pool, "select status from rouse.limits where kind || ' ' || name = $1", [lane]),
      /^paused/,
    );

    await db.query(`select rouse.resume(${paused})`);
    const order: string[] = [];
    for (let job = await claimOne(db.pool, worker); job !== undefined; ) {
      order.push(job.id);
      await complete(db.pool, job);
      [job] = (await claim(db.pool, worker, { most: 9 })) as [typeof job];
    }
    assert.deepEqual(order, [admitted, ...later]);
  });
}

test("B20: a job of a paused queue that is moved to another one starts", async () => {
  await db.query("select rouse.pause(queue => 'slow')");
  const id = await enqueue(db.pool, "t", { queue: "slow", concurrency_key: "k" });
  assert.equal(await claimed(), 0);
  await db.query("select rouse.reschedule($1, queue => 'fast')", [id]);
  assert.equal((await claimOne(db.pool, worker)).id, id);
  await db.query("select rouse.resume(queue => 'slow')");
});

test("a limit of the code is set when it is declared, changed and gone with it; one from SQL stays", async () => {
  const limits = () =>
    rows(
      db.pool,
      "select kind, name, concurrency, rate, period::text, burst, holds from rouse.job_limit order by 1, 2",
    );
  await setLimit("task => 'own', concurrency => 3");
  const stated = {
    name: "t",
    limit: { concurrency: 2 },
    key_limit: { rate: 10, period: "1 minute", burst: 4, holds: true },
  };
  await declare(db.pool, stated, { name: "own" });
  const own = { kind: "task", name: "own", concurrency: 3, rate: null, period: null, burst: 1, holds: false };
  const task = { kind: "task", name: "t", concurrency: 2, rate: null, period: null, burst: 1, holds: false };
  const keys = { kind: "task_keys", name: "t", concurrency: null, rate: 10, period: "00:01:00", burst: 4, holds: true };
  assert.deepEqual(await limits(), [own, task, keys]);
  await declare(db.pool, { name: "t", limit: { concurrency: 5 } }, { name: "own" });
  assert.deepEqual(await limits(), [own, { ...task, concurrency: 5 }]);
  await declare(db.pool, { name: "t" }, { name: "own" });
  assert.deepEqual(await limits(), [own]);
});

test("B5, B16: a worker's slots of queues, keys and limits are kept together", async () => {
  await setLimit("task => 'x', concurrency => 1");
  for (const key of ["a", "a", "b", "b", "c", "c"]) {
    await enqueue(db.pool, "t", { queue: "mail", concurrency_key: key });
  }
  for (const task of ["x", "x", "y", "y", "y"]) await enqueue(db.pool, task, { queue: "other" });
  const exchange = async (slots: object) =>
    (
      await rows<{ claimed: string }>(
        db.pool,
        `select coalesce(j.concurrency_key, j.task) as claimed
         from rouse.exchange_v1($1, null, null, 20, slots => $2) e join rouse.job j using (id)
         where outcome = 'claimed' order by 1`,
        [worker, JSON.stringify(slots)],
      )
    )
      .map(({ claimed }) => claimed)
      .join(" ");
  assert.equal(await exchange({ mail: 2, "*": 3 }), "a b x y y");
  assert.equal(await exchange({ mail: 5, "*": 5 }), "c y");
  assert.equal(await exchange({ mail: 5, "*": 5 }), "");
});

test("what comes due in an exchange takes the slots of its limits in the same call", async () => {
  await setLimit("task => 't', concurrency => 2");
  const taken = async (asOf: string) =>
    await value<number>(
      db.pool,
      `select count(*)::integer from rouse.exchange_v1($1, null, null, 5, as_of => ${asOf}) where outcome = 'claimed'`,
      [worker],
    );
  await enqueue(db.pool, "t", { delay: "1 minute" });
  assert.equal(await taken("clock_timestamp() + interval '2 minutes'"), 1);
  await db.query("select rouse.schedule('limited', '@yearly', task => 't')");
  await db.query("update rouse.schedule set next_run_at = clock_timestamp()");
  assert.equal(await taken("clock_timestamp()"), 1);
  await db.query("select rouse.unschedule('limited')");
});

test("an open transaction that locked a lane keeps only that lane waiting", async () => {
  await enqueue(db.pool, "t", { concurrency_key: "a" });
  const open = await db.connect();
  const holder = await register(open);
  await open.query("begin");
  await open.query("select rouse.claim_v1($1)", [holder]);
  await enqueue(db.pool, "t", { concurrency_key: "a" });
  await enqueue(db.pool, "t", { concurrency_key: "b" });
  assert.equal((await claimOne(db.pool, worker)).task, "t");
  const [, look] = await rows(
    db.pool,
    "select outcome from rouse.exchange_v1($1, null, null, 5), generate_series(1, 2)",
    [worker],
  );
  assert.equal(look?.outcome, "look_again");
  await open.query("rollback");
  assert.equal(await claimed(), 1);
});

test("B16: a worker that stops while others have the lane to themselves tells them of its end", async () => {
  await setLimit("task => 't', concurrency => 1");
  for (let n = 0; n < 2; n++) await enqueue(db.pool, "t");
  const held = await claimOne(db.pool, worker);
  const other = await db.connect();
  const exchange = async (session: Session, ...args: unknown[]) =>
    (await rows(session, "select outcome from rouse.exchange_v1($1, null, null, $2, $3, $4)", args)).map(
      ({ outcome }) => outcome,
    );
  const look = [await register(other), 1, [], []];
  for (let n = 0; n < 3; n++) await exchange(other, ...look);
  const ear = await listen(db);
  await other.query("begin");
  assert.equal(await value(other, "select rouse.lock_lane('task:t')"), true);
  assert.deepEqual(await exchange(other, ...look), ["sleep"]);
  await exchange(db.pool, worker, 0, [held.id], [held.lease]);
  assert.equal((await ear.heard()).length, 1);
  await other.query("commit");
  assert.deepEqual(await exchange(other, ...look), ["claimed"]);
});

test("under REPEATABLE READ nothing is admitted, since nothing new would be seen", async () => {
  await enqueue(db.pool, "t", { concurrency_key: "a" });
  const strict = await db.connect();
  await strict.query("begin isolation level repeatable read");
  assert.deepEqual(await claim(strict, worker), []);
  await strict.query("commit");
  assert.equal(await claimed(), 1);
});

test("no enqueue, no finish and no limit waits for an open transaction of the same key", async () => {
  const open = await db.connect();
  await open.query("begin");
  await enqueue(open, "t", { concurrency_key: "a" });
  await enqueue(db.pool, "t", { concurrency_key: "a" });
  const job = await claimOne(db.pool, worker);
  await setLimit("key => 'a', concurrency => 2");
  await complete(db.pool, job);
  await open.query("commit");
  assert.equal(await claimed(), 1);
});

test("bad limits and keys are refused by name", async () => {
  const cases: [sql: string, message: RegExp][] = [
    ["set_limit(task => 't', concurrency => 0)", /^concurrency 0 is not a positive number$/],
    ["set_limit(task => 't', concurrency => -1)", /^concurrency -1 is not/],
    ["set_limit(task => 't', rate => 0, period => '1 s')", /^rate 0 is out of range$/],
    ["set_limit(task => 't', rate => 5, period => '-1 s')", /^period -00:00:01 is not a positive, finite time$/],
    ["set_limit(task => 't', rate => 5, period => '0')", /^period 00:00:00 is not/],
    ["set_limit(task => 't', rate => 5, period => '1 s', burst => 0)", /^burst 0 is out of range$/],
    ["set_limit(task => 't', concurrency => 5, burst => 2)", /^period and burst need a rate$/],
    ["set_limit(task => 't')", /^a limit needs concurrency or rate$/],
    ["set_limit(concurrency => 1)", /^a limit is of one of queue, task and key$/],
    ["set_limit(task => 't', queue => 'q', concurrency => 1)", /^a limit is of one of/],
    ["set_limit(key => 'k', each_key => true, concurrency => 1)", /^each_key goes with a task or a queue$/],
    ["set_limit(key => '', concurrency => 1)", /^key '' has 0 characters$/],
    ["drop_limit(key => repeat('x', 401))", /^key 'x+… \(401 characters\)' has 401 characters$/],
    ["pause(key => 'k', task => 't')", /^pause needs one of queue, schedule, task and key$/],
    ["pause(key => '')", /^key '' has 0 characters$/],
    [
      "enqueue('t', concurrency_key => repeat('x', 1000000))",
      /^concurrency_key 'x+… \(1000000 characters\)' has 1000000 characters$/,
    ],
    ["enqueue('t', concurrency_key => '')", /^concurrency_key '' has 0 characters$/],
    [`enqueue_many('[{"task": "t", "concurrency_key": ""}]')`, /^concurrency_key '' has 0 characters$/],
    [`declare_tasks_v1('[{"name": "t", "limit": {"concurrency": 0}}]')`, /^concurrency 0 is not/],
    [`declare_tasks_v1('[{"name": "t", "key_limit": {"rate": 5, "period": "-1 s"}}]')`, /^period -00:00:01 is not/],
  ];
  for (const [sql, message] of cases) {
    const error = await refused(db.query(`select rouse.${sql}`));
    assert.match(error.message, message, sql);
    assert.equal(error.code, "22023", sql);
  }
  await declare(db.pool, { name: "t", concurrency_key: "$.k" });
  const long = { payload: { k: "x".repeat(500) } };
  assert.match((await refused(enqueue(db.pool, "t", long))).message, /^concurrency_key 'x+… \(500 characters\)'/);
  for (const bad of ["concurrency = 0", "rate = -1", "kind = 'x'"]) {
    await setLimit("task => 'u', concurrency => 1");
    assert.equal((await refused(db.query(`update rouse.job_limit set ${bad} where name = 'u'`))).code, "23514");
  }
});
