import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { z } from "zod";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { claim, claimOne, clear, declare, enqueue, refused, register, rows, value } from "../support/engine.ts";
import { until } from "../support/until.ts";
import { archived, useRouse } from "../worker/support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
let worker: number;

beforeEach(async () => {
  await clear(db);
  worker = await register(db.pool);
});

const stateOf = (id: string) => value<string | null>(db.pool, "select max(state) from rouse.jobs where id = $1", [id]);
const later = (time: string) => value<string>(db.pool, "select (clock_timestamp() + $1::interval)::text", [time]);

test("B19: a job past its expiry is never claimed and ends expired, one before it is claimed", async () => {
  const late = await enqueue(db.pool, "mail", { expires_in: "1 minute" });
  const never = await enqueue(db.pool, "mail", { expires_at: "infinity" });
  assert.deepEqual(
    (await claim(db.pool, worker, { most: 5, asOf: await later("61 s") })).map(({ id }) => id),
    [never],
  );
  assert.equal(await stateOf(late), "expired");
  const soon = await enqueue(db.pool, "mail", { expires_in: "1 minute" });
  assert.equal((await claimOne(db.pool, worker, { asOf: await later("59 s") })).id, soon);
  assert.equal(await stateOf(soon), "running");
});

test("B19: the claim itself refuses what expired, whoever has not ended it yet", async () => {
  for (const queue of ["one", "other"]) await enqueue(db.pool, "mail", { expires_in: "1 minute", queue });
  const picked = "select cardinality(jobs) from rouse.pick(rouse.heads($1, null), null, 5, $2)";
  const inTime = await later("59 s");
  const late = await later("61 s");
  for (const queues of [["one"], ["one", "other"]]) {
    assert.equal(await value(db.pool, picked, [queues, inTime]), queues.length);
    assert.equal(await value(db.pool, picked, [queues, late]), 0);
  }
});

test("B19: whatever a job waits for, it expires; what runs goes on", async () => {
  await db.query(`
    insert into rouse.job (task, state, run_at, expires_at)
    select 't', s, now() + d, now() + interval '1 minute'
    from (values ('scheduled', interval '1 hour'), ('ready', '0'), ('blocked', '0'), ('waiting', '0')) v (s, d)`);
  const job = await enqueue(db.pool, "long", { expires_in: "1 minute" });
  await claimOne(db.pool, worker, { tasks: ["long"] });
  await claim(db.pool, worker, { asOf: await later("61 s"), tasks: ["none"] });
  assert.deepEqual(await rows(db.pool, "select state, count(*)::integer as n from rouse.archive group by 1"), [
    { state: "expired", n: 4 },
  ]);
  assert.deepEqual(await rows(db.pool, "select id, state from rouse.job"), [{ id: job, state: "running" }]);
});

test("B19: a claim tells how long the job may still start, by its expiry or its deadline", async () => {
  await enqueue(db.pool, "mail", { expires_in: "1 minute", deadline: "2 minutes" });
  await enqueue(db.pool, "mail", { deadline: "1 minute" });
  await enqueue(db.pool, "mail", { expires_at: "infinity" });
  await enqueue(db.pool, "mail");
  const claimed =
    "select extract(epoch from expires_in)::float as seconds from rouse.claim_v1($1, most => 4, as_of => $2) order by id";
  const left = (await rows<{ seconds: number | null }>(db.pool, claimed, [worker, await later("50 s")])).map(
    ({ seconds }) => (seconds === null ? "any" : seconds > 5 && seconds <= 10),
  );
  assert.deepEqual(left, [true, true, "any", "any"]);
});

test("B19: a job that expires while its batch gathers never starts", async () => {
  const runs: number[] = [];
  const task = defineTask("gathers", {
    payload: z.number(),
    batch: { size: 3, wait: "600ms" },
    run: (payloads) => void runs.push(...payloads),
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task, 1, { expiresIn: "300ms" });
  await rouse.enqueue(task, 2);
  const job = await until(() => archived(db, id), { message: "the job is archived" });
  await until(() => runs.length > 0, { message: "the batch ran" });
  assert.deepEqual([job!.state, job!.attempt, runs], ["expired", 0, [2]]);
});

test("B19: a beat ends expired jobs where nobody claims", async () => {
  const id = await enqueue(db.pool, "mail", { expires_at: new Date() });
  await db.query("select rouse.beat_v1($1)", [worker]);
  assert.equal(await stateOf(id), "expired");
});

test("B19: a row that somebody holds keeps nobody waiting, and is ended when it is let go", async () => {
  const id = await enqueue(db.pool, "mail", { expires_at: new Date() });
  const holder = await db.connect();
  await holder.query("begin");
  await holder.query("select from rouse.job for update");
  assert.deepEqual(await claim(db.pool, worker), []);
  await holder.query("rollback");
  assert.deepEqual(await claim(db.pool, worker), []);
  assert.equal(await stateOf(id), "expired");
});

test("an expiry counts from the due time, the task's default too; retry drops it", async () => {
  await declare(db.pool, { name: "mail", expires_in: "10 minutes", deadline: "1 hour", delay: "5 minutes" });
  const id = await enqueue(db.pool, "mail");
  await db.query(`select * from rouse.enqueue_many('[{"task": "mail"}]')`);
  await db.query("select rouse.publish('news')");
  for (const row of await rows(
    db.pool,
    "select expires_at - run_at = '10 min' as e, deadline_at - run_at = '1 h' as d from rouse.job",
  )) {
    assert.deepEqual(row, { e: true, d: true });
  }
  assert.deepEqual(await claim(db.pool, worker, { asOf: await later("16 min"), most: 5 }), []);
  assert.equal(await stateOf(id), "expired");
  assert.equal(await value(db.pool, "select rouse.retry($1)", [id]), true);
  assert.equal((await claimOne(db.pool, worker, { asOf: await later("16 min") })).id, id);
});

test("a schedule's job takes the expiry of its task, and the slot behind an expired one runs", async () => {
  await declare(db.pool, { name: "report", expires_in: "1 minute" });
  await db.query("select rouse.schedule('report', 'every 10 seconds', task => 'report', overlap => 'queue')");
  await db.query("select rouse.tick(now() + interval '10 seconds'), rouse.tick(now() + interval '20 seconds')");
  const [first] = await rows(db.pool, "select id, expires_at - run_at = '1 min' as expiry from rouse.job");
  assert.equal(first?.expiry, true);
  await db.query("select rouse.expire(now() + interval '2 minutes')");
  assert.equal(await stateOf(String(first?.id)), "expired");
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.job"), 1);
  await db.query("select rouse.unschedule('report')");
});

test("a deadline shortens the attempt, forbids a retry beyond it and ends what waits", async () => {
  await declare(db.pool, { name: "mail", timeout: "30 s", backoff: "fixed", backoff_base: "40 s", jitter: 0 });
  const id = await enqueue(db.pool, "mail", { deadline: "1 minute" });
  const timeout = async (asOf: string) => {
    const [row] = await rows<{ id: string; lease: string; seconds: number }>(
      db.pool,
      "select id, lease, extract(epoch from timeout)::float as seconds from rouse.claim_v1($1, as_of => $2)",
      [worker, asOf],
    );
    return row;
  };
  const first = await timeout(await later("0 s"));
  assert.equal(first?.seconds, 30);
  assert.equal(await value(db.pool, "select rouse.fail_v1($1, $2, null)", [id, first?.lease]), "scheduled");
  const second = await timeout(await later("50 s"));
  assert.ok(second!.seconds > 5 && second!.seconds <= 10, `${second?.seconds} s are left`);
  assert.equal(
    await value(db.pool, "select rouse.fail_v1($1, $2, null, retry_at => $3)", [
      id,
      second?.lease,
      await later("61 s"),
    ]),
    "failed",
  );

  const waiting = await enqueue(db.pool, "mail", { deadline: "1 minute" });
  assert.deepEqual(await claim(db.pool, worker, { asOf: await later("61 s") }), []);
  assert.equal(await stateOf(waiting), "expired");
});

test("B10: a handler is stopped by its deadline, and its job ends failed", async () => {
  const task = defineTask("slow", {
    // Time enough for a busy machine to start it.
    deadline: "2s",
    retry: { backoff: "fixed", base: "1s" },
    run: (_payload, ctx) =>
      new Promise((_resolve, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason))),
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task);
  const job = await until(() => archived(db, id), { message: "the job is archived" });
  assert.deepEqual([job!.state, job!.attempt], ["failed", 1]);
});

test("bad expiries and deadlines are refused by name", async () => {
  const cases: [options: Record<string, unknown>, message: RegExp][] = [
    [{ expires_in: "-1 s" }, /^expires_in -00:00:01 is not a positive, finite time$/],
    [{ expires_in: "0" }, /^expires_in 00:00:00 is not/],
    [{ deadline: "0" }, /^deadline 00:00:00 is not/],
    [{ expires_in: "1 s", expires_at: "2030-01-01" }, /^both expires_at and expires_in were given$/],
  ];
  for (const [options, message] of cases) {
    assert.match((await refused(enqueue(db.pool, "mail", options))).message, message);
    const many = db.query("select * from rouse.enqueue_many($1)", [JSON.stringify([{ task: "mail", ...options }])]);
    assert.match((await refused(many)).message, message);
  }
  for (const option of ["expires_in", "deadline"]) {
    const error = await refused(declare(db.pool, { name: "mail", [option]: "-1 s" }));
    assert.match(error.message, new RegExp(`^${option} -00:00:01 is not`));
    assert.throws(
      () => defineTask("mail", { [option === "deadline" ? option : "expiresIn"]: 0, run: () => {} }),
      / is 0/,
    );
  }
  const rouse = rouseWith([]);
  await assert.rejects(
    rouse.enqueue("mail", {}, { expiresAt: "soon" as never }),
    /expiresAt soon of a job of "mail" is not a valid Date/,
  );
});

test("TypeScript takes durations and dates", async () => {
  const rouse = rouseWith([]);
  const expiresAt = new Date("2031-02-03T04:05:06.789Z");
  const { id } = await rouse.enqueue("mail", {}, { expiresAt, deadline: "2h" });
  const other = await rouse.enqueue("mail", {}, { expiresIn: "90s" });
  assert.deepEqual(
    await rows(
      db.pool,
      "select expires_at, (deadline_at - run_at)::text as deadline, (expires_at - run_at)::text as expiry from rouse.job where id in ($1, $2) order by id",
      [id, other.id],
    ).then(([a, b]) => [a?.expires_at, a?.deadline, b?.expiry]),
    [expiresAt, "02:00:00", "00:01:30"],
  );
});
