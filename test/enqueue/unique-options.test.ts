import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { claimOne, clear, enqueue, pidOf, refused, register, rows, value, waitsForLock } from "../support/engine.ts";
import { useRouse } from "../worker/support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
let worker: number;

beforeEach(async () => {
  await clear(db);
  await db.query("truncate rouse.unique_window");
  worker = await register(db.pool);
});

const key = { unique_key: "k" };
const jobs = () => value<number>(db.pool, "select count(*)::integer from rouse.job");
const every = { ...key, unique_period: "1 hour" };

test("B15: a key may be unique in its queue, or everywhere", async () => {
  const queue = { ...key, unique_scope: "queue" };
  const one = await enqueue(db.pool, "t", { ...queue, queue: "a" });
  assert.equal(await enqueue(db.pool, "u", { ...queue, queue: "a" }), one);
  assert.notEqual(await enqueue(db.pool, "t", { ...queue, queue: "b" }), one);
  const all = await enqueue(db.pool, "t", { ...key, unique_scope: "global" });
  assert.equal(await enqueue(db.pool, "u", { ...key, unique_scope: "global", queue: "c" }), all);
  assert.notEqual(await enqueue(db.pool, "t", key), all);
  assert.equal(await jobs(), 4);
});

test("B15: a key that is unique while its job waits is free once it has started", async () => {
  const waiting = { ...key, unique_while: "waiting" };
  const first = await enqueue(db.pool, "t", waiting);
  assert.equal(await enqueue(db.pool, "t", waiting), first);
  const job = await claimOne(db.pool, worker);
  const second = await enqueue(db.pool, "t", waiting);
  assert.notEqual(second, first);
  // The one that ran gives way to the newer, and its worker hears no error.
  assert.equal(await value(db.pool, "select rouse.fail_v1($1, $2, null)", [job.id, job.lease]), "cancelled");
  assert.equal(await jobs(), 1);
});

test("B15: once in a period, whatever becomes of the job; a rollback opens no window", async () => {
  const client = await db.connect();
  await client.query("begin");
  await enqueue(client, "t", every);
  await client.query("rollback");
  const first = await enqueue(db.pool, "t", every);
  const job = await claimOne(db.pool, worker);
  await db.query("select rouse.complete_v1($1, $2)", [job.id, job.lease]);
  assert.equal(await enqueue(db.pool, "t", every), first);
  assert.notEqual(await enqueue(db.pool, "u", every), first);
  await db.query("update rouse.unique_window set ends_at = now()");
  assert.notEqual(await enqueue(db.pool, "t", every), first);
  await db.query("select rouse.purge(id) from rouse.jobs");
  assert.deepEqual(await rows(db.pool, "select from rouse.unique_window"), []);
});

test("B15: 50 enqueuers at once make one job under every meaning, and the loser of a rollback makes it", async () => {
  const clients = await Promise.all(Array.from({ length: 50 }, () => db.connect()));
  const meanings = [
    { unique_scope: "global" },
    { unique_scope: "queue" },
    { unique_while: "waiting" },
    { unique_period: "1 hour" },
    { on_conflict: "replace" },
    { on_conflict: "debounce", delay: "1 hour" },
  ];
  for (const [n, meaning] of meanings.entries()) {
    const options = { unique_key: `k${n}`, ...meaning };
    const ids = await Promise.all(clients.map((client) => enqueue(client, "t", options)));
    assert.equal(new Set(ids).size, 1, JSON.stringify(meaning));

    const again = { ...options, unique_key: `l${n}` };
    const [winner, waiting] = [clients[0]!, clients[1]!];
    await winner.query("begin");
    const lost = await enqueue(winner, "t", again);
    const pid = await pidOf(waiting);
    const later = enqueue(waiting, "t", again);
    await waitsForLock(db, pid);
    await winner.query("rollback");
    assert.notEqual(await later, lost);
  }
  assert.equal(await jobs(), 2 * meanings.length);
});

test("on conflict the job is kept, gets the payload, or payload and due time, or there is an error", async () => {
  const state = () => rows(db.pool, "select id, payload, run_at > now() as later from rouse.job order by id");
  const id = await enqueue(db.pool, "t", { ...key, payload: { n: 1 }, unique_while: "waiting", on_conflict: "keep" });
  await enqueue(db.pool, "t", { ...key, payload: { n: 2 }, unique_while: "waiting" });
  assert.deepEqual(await state(), [{ id, payload: { n: 1 }, later: false }]);
  assert.equal(await enqueue(db.pool, "t", { ...key, payload: { n: 3 }, delay: "1 h", on_conflict: "replace" }), id);
  assert.deepEqual(await state(), [{ id, payload: { n: 3 }, later: false }]);
  await enqueue(db.pool, "t", { ...key, payload: { n: 4 }, delay: "1 h", on_conflict: "debounce" });
  assert.deepEqual(await state(), [{ id, payload: { n: 4 }, later: true }]);
  const error = await refused(enqueue(db.pool, "t", { ...key, unique_while: "waiting", on_conflict: "raise" }));
  assert.deepEqual([error.code, error.message], ["23505", `the unique key 'k' is taken by job ${id}`]);
  await db.query("select rouse.reschedule($1, delay => '0')", [id]);
  await claimOne(db.pool, worker);
  const next = await enqueue(db.pool, "t", { ...key, payload: { n: 5 }, on_conflict: "replace" });
  assert.deepEqual(await state(), [
    { id, payload: { n: 4 }, later: false },
    { id: next, payload: { n: 5 }, later: false },
  ]);
});

test("B15: a job whose key was taken meanwhile is not retried, and nobody hears an error", async () => {
  const options = { ...key, unique_scope: "global", max_attempts: 1 };
  const first = await enqueue(db.pool, "t", options);
  const job = await claimOne(db.pool, worker);
  await db.query("select rouse.fail_v1($1, $2, null)", [job.id, job.lease]);
  await enqueue(db.pool, "u", options);
  assert.equal(await value(db.pool, "select rouse.retry($1)", [first]), false);
  await db.query("delete from rouse.job");
  assert.equal(await value(db.pool, "select rouse.retry($1)", [first]), true);
  assert.equal(await enqueue(db.pool, "u", options), first);
});

test("the handle, and enqueue_many, tell whether a job is new", async () => {
  const rouse = rouseWith([]);
  const first = await rouse.enqueue("t", { n: 1 }, { uniqueKey: "k", onConflict: "replace" });
  const second = await rouse.enqueue("t", { n: 2 }, { uniqueKey: "k", onConflict: "debounce", delay: "1h" });
  assert.deepEqual([first.created, second.created, second.id], [true, false, first.id]);
  const many = await rouse.enqueueMany([
    { task: "t", uniqueKey: "z", uniquePeriod: "1h" },
    { task: "plain" },
    { task: "u", uniqueKey: "a", uniqueScope: "global" },
    { task: "t", uniqueKey: "a", uniqueScope: "global" },
    { task: "t", uniqueKey: "k", uniqueWhile: "waiting" },
  ]);
  assert.deepEqual(
    many.map(({ created }) => created),
    [true, true, true, false, false],
  );
  assert.equal(many[4]!.id, first.id);
  assert.equal(many[3]!.id, many[2]!.id);
});

test("unknown and ill-matched meanings are refused by name", async () => {
  const cases: [options: Record<string, unknown>, message: RegExp][] = [
    [{ unique_scope: "task" }, /need a unique_key$/],
    [{ ...key, unique_scope: "world" }, /^unique_scope 'world' is not known$/],
    [{ ...key, unique_while: "ready" }, /^unique_while 'ready' is not known$/],
    [{ ...key, on_conflict: "explode" }, /^on_conflict 'explode' is not known$/],
    [{ ...key, unique_period: "-1 s" }, /^unique_period -00:00:01 is not a positive, finite time$/],
    [{ ...every, unique_while: "live" }, /^both unique_while and unique_period were given$/],
    [
      { ...key, unique_while: "live", on_conflict: "replace" },
      /^on_conflict 'replace' does not go with unique_while live$/,
    ],
    [{ ...key, unique_scope: "queue", on_conflict: "debounce" }, /^unique_scope 'queue' does not go with/],
    [
      { unique_key: "x".repeat(1_000_000), unique_scope: "global" },
      /^unique_key 'x+… \(1000000 characters\)' has 1000000/,
    ],
  ];
  for (const [options, message] of cases) {
    const error = await refused(enqueue(db.pool, "t", options));
    assert.match(error.message, message);
    assert.equal(error.code, "22023");
    const many = db.query("select * from rouse.enqueue_many($1)", [JSON.stringify([{ task: "t", ...options }])]);
    assert.match((await refused(many)).message, message);
  }
});
