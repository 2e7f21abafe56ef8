import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { clear, declare, enqueue, rows, type Session } from "../support/engine.ts";

const db = testDatabase();

beforeEach(() => clear(db));

async function enqueueMany(session: Session, jobs: unknown) {
  return await rows<{ id: string; created: boolean }>(session, "select * from rouse.enqueue_many($1)", [
    JSON.stringify(jobs),
  ]);
}

test("each job has its own options, and each result the place of its job", async () => {
  await declare(db.pool, { name: "mail", queue: "post", priority: 3 }, { name: "import", delay: "1 hour" });
  const results = await enqueueMany(db.pool, [
    { task: "import" },
    { task: "mail", payload: { to: 1 }, priority: 9, tags: ["a", "b"], headers: { trace: "x" } },
    { task: "mail", delay: 90, max_attempts: 2, timeout: "30 s" },
    { task: "mail", run_at: "2001-02-03T04:05:06Z" },
  ]);
  assert.deepEqual(
    results.map(({ created }) => created),
    [true, true, true, true],
  );
  const stored = await rows(
    db.pool,
    `select id, task, queue, priority, state, payload, max_attempts, timeout::text, tags, headers,
            extract(epoch from run_at - created_at)::integer > 0 as later
     from rouse.job order by id`,
  );
  const plain = { payload: {}, max_attempts: null, timeout: null, tags: null, headers: null };
  assert.deepEqual(stored, [
    { id: results[0]?.id, task: "import", queue: "default", priority: 0, state: "scheduled", ...plain, later: true },
    {
      id: results[1]?.id,
      task: "mail",
      queue: "post",
      priority: 9,
      state: "ready",
      ...plain,
      payload: { to: 1 },
      tags: ["a", "b"],
      headers: { trace: "x" },
      later: false,
    },
    {
      id: results[2]?.id,
      task: "mail",
      queue: "post",
      priority: 3,
      state: "scheduled",
      ...plain,
      max_attempts: 2,
      timeout: "00:00:30",
      later: true,
    },
    { id: results[3]?.id, task: "mail", queue: "post", priority: 3, state: "ready", ...plain, later: false },
  ]);
});

test("an empty array adds nothing", async () => {
  assert.deepEqual(await enqueueMany(db.pool, []), []);
});

test("B15: a key that is taken, by another job or in the same array, gives the id of its holder", async () => {
  const held = await enqueue(db.pool, "mail", { unique_key: "k2" });
  const results = await enqueueMany(db.pool, [
    { task: "mail", unique_key: "k1" },
    { task: "mail", unique_key: "k2" },
    { task: "mail" },
    { task: "mail", unique_key: "k1" },
    { task: "import", unique_key: "k2" },
  ]);
  assert.deepEqual(
    results.map(({ created }) => created),
    [true, false, true, false, true],
  );
  assert.equal(results[1]?.id, held);
  assert.equal(results[3]?.id, results[0]?.id);
  assert.equal(new Set(results.map(({ id }) => id)).size, 4);
});

test("B15: batches that share keys wait for each other and never in a circle", async () => {
  // Slow enough for the two statements to meet in the middle.
  await db.query(`
    create function pause_a_little() returns trigger language plpgsql as $$
    begin perform pg_sleep(0.03); return new; end $$`);
  await db.query("create trigger slow before insert on rouse.job for each row execute function pause_a_little()");
  const [one, two] = [await db.connect(), await db.connect()];
  const keys = ["a", "b", "c"].map((unique_key) => ({ task: "mail", unique_key }));
  await Promise.all([enqueueMany(one, keys), enqueueMany(two, keys.toReversed())]);

  const tasks = ["mail", "import", "resize"].map((task) => ({ task, unique_key: "same" }));
  await Promise.all([enqueueMany(one, tasks), enqueueMany(two, tasks.toReversed())]);
  await db.query("drop trigger slow on rouse.job");
  assert.deepEqual(await rows(db.pool, "select count(*)::integer as n from rouse.job"), [{ n: 6 }]);
});

test("instants are read alike under any DateStyle, IntervalStyle and TimeZone", async () => {
  const client = await db.connect();
  const read: unknown[] = [];
  for (const [dates, intervals, zone] of [
    ["ISO, YMD", "postgres", "UTC"],
    ["SQL, DMY", "sql_standard", "Asia/Kathmandu"],
    ["German", "iso_8601", "America/New_York"],
    ["Postgres, MDY", "postgres_verbose", "<+07:13>-07:13"],
  ]) {
    await client.query(`set datestyle = '${dates}'; set intervalstyle = '${intervals}'; set timezone = '${zone}'`);
    await enqueueMany(client, [
      { task: "mail", run_at: "2040-02-03T04:05:06.789Z" },
      { task: "mail", delay: "1 hour 2 minutes", timeout: "PT90S" },
    ]);
    read.push(
      await rows(
        db.pool,
        `select extract(epoch from case when timeout is null then run_at end) as at,
                extract(epoch from case when timeout is not null then run_at - created_at end) as wait,
                timeout::text
         from rouse.job order by id`,
      ),
    );
    await db.query("truncate rouse.job");
  }
  const expected = [
    { at: "2211854706.789000", wait: null, timeout: null },
    { at: null, wait: "3720.000000", timeout: "00:01:30" },
  ];
  assert.deepEqual(read, [expected, expected, expected, expected]);
});
