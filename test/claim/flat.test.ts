/**
 * Behind a transaction that stays open vacuum removes nothing: whoever looks for jobs walks past all that has finished
 * since. The same behind jobs of a task that nobody here knows. These tests count what a call reads; times are in bench/.
 */
import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { clear, register, rows, value } from "../support/engine.ts";
import { until } from "../support/until.ts";

const FINISHED = 50_000;
const UNKNOWN = 100_000;

const db = testDatabase();
let session: pg.Client;
let elsewhere: pg.Client;
let worker: number;

type Row = { outcome: string; id: string | null; payload: unknown; wait_ms: number | null };
type Call = { most?: number; bookmark?: unknown; whole?: boolean; asOf?: Date };

beforeEach(async () => {
  await elsewhere?.end();
  await clear(db);
  await db.query("vacuum rouse.job");
  session ??= await db.connect();
  elsewhere = await db.connect();
  await elsewhere.query("begin isolation level repeatable read; select from rouse.job");
  worker = await register(session);
});

const CALL = `select outcome, id, payload, wait_ms from rouse.exchange_v1(
  $1, null, '{noop}', $2, bookmark => $3, whole => $4, as_of => coalesce($5, clock_timestamp()))`;

const given = ({ most = 10, bookmark = {}, whole = true, asOf }: Call) => [
  worker,
  most,
  JSON.stringify(bookmark),
  whole,
  asOf ?? null,
];

async function exchange(call: Call = {}): Promise<Row[]> {
  return await rows<Row>(session, CALL, given(call));
}

const outcomes = (all: Row[]) => all.map(({ outcome }) => outcome).join(" ");
const bookmarkOf = (all: Row[]) => all.find(({ outcome }) => outcome === "bookmark");

/** When the next look is due: it sees within 250 ms what this one did not, or pauses for as long as this one took. */
const assertSoon = (waitMs: number, tookMs: number) =>
  assert.ok(waitMs > 0 && waitMs <= Math.max(240, tookMs), `after ${tookMs} ms the next look is due in ${waitMs} ms`);

/** One of two queues, for the nth job. */
const QUEUE = "(array['default', 'mail'])[1 + n % 2]";

/** Jobs that came a minute ago, at t, and went. */
async function finish(jobs: number, columns = "task, queue, run_at", values = `'noop', ${QUEUE}, t`): Promise<void> {
  await db.query(
    `insert into rouse.job (${columns}) select ${values} from generate_series(1, $1) as n, (select now() - interval '1 minute') as a (t)`,
    [jobs],
  );
  await db.query("delete from rouse.job where task = 'noop'");
}

/**
 * Waits until all that has been done may be marked as dead: until no transaction is older than it, in any database, and
 * all commits are on disk, for which those of a test do not wait.
 */
async function allSee(): Promise<void> {
  const now = await value(db.pool, "select pg_current_xact_id()::text");
  await until(() => value<boolean>(db.pool, "select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8", [now]), {
    message: "all that wrote before has ended",
  });
  const writer = await db.connect();
  await writer.query("set synchronous_commit = on");
  await writer.query("select pg_logical_emit_message(true, 'test', 'all before is on disk')");
  await writer.end();
}

const enqueue = (jobs: number) =>
  db.query(`insert into rouse.job (task, queue) select 'noop', ${QUEUE} from generate_series(1, $1) as n`, [jobs]);

/** Index entries of jobs that the session's transaction has read so far. */
const entriesRead = () =>
  value<number>(
    session,
    `select sum(pg_stat_get_xact_tuples_returned(indexrelid))::integer from pg_index where indrelid = 'rouse.job'::regclass`,
  );

/** Pages and index entries that a call reads, in a transaction that is rolled back. */
async function readsOf(call: Call): Promise<{ pages: number; entries: number }> {
  // From the sixth time on it has its plans.
  for (let n = 0; n < 7; n++) {
    await session.query("begin");
    await exchange(call);
    await session.query("rollback");
  }
  await session.query("begin");
  const before = await entriesRead();
  const [plan] = await rows<{ "QUERY PLAN": [{ Plan: Record<string, number> }] }>(
    session,
    `explain (analyze, buffers, format json) ${CALL}`,
    given(call),
  );
  const entries = (await entriesRead()) - before;
  await session.query("rollback");
  const { Plan } = plan!["QUERY PLAN"][0];
  return { pages: Plan["Shared Hit Blocks"]! + Plan["Shared Read Blocks"]!, entries };
}

for (const [title, unknown] of [
  ["what has finished under an old snapshot", 0],
  ["that and jobs of a task it does not know", UNKNOWN],
] as const) {
  test(`B18: a look from the heads walks past ${title} once, and one from a bookmark not at all`, async () => {
    await db.query("insert into rouse.job (task) select 'elsewhere' from generate_series(1, $1)", [unknown]);
    await finish(FINISHED);
    await enqueue(20);
    const began = performance.now();
    const bookmark = bookmarkOf(await exchange())!;
    assertSoon(bookmark.wait_ms!, performance.now() - began);

    const whole = await readsOf({ most: 50 });
    assert.ok(whole.entries >= FINISHED + unknown, `the snapshot holds ${whole.entries} entries`);
    assert.ok(whole.entries < (FINISHED + unknown) * 1.01, `a whole look reads ${whole.entries} entries`);
    for (const most of [5, 50]) {
      const next = await readsOf({ most, bookmark: bookmark.payload, whole: false });
      assert.ok(next.entries < 200, `the next one reads ${next.entries} entries`);
      assert.ok(next.pages < 600, `the next one reads ${next.pages} pages`);
    }
  });
}

test("B18: neither does one whose queue was empty when the bookmark was made", async () => {
  await finish(FINISHED);
  await enqueue(1);
  const first = bookmarkOf(await exchange())!;
  await db.query("delete from rouse.job");
  const second = bookmarkOf(await exchange({ bookmark: first.payload }))!;
  await enqueue(1);
  assert.equal(outcomes(await exchange({ bookmark: second.payload, whole: false })), "claimed look_again");
  const { entries } = await readsOf({ bookmark: second.payload, whole: false });
  assert.ok(entries < 200, `it reads ${entries} entries`);
});

test("B18: pages full of entries that are known to be dead are a long way, too", async () => {
  await elsewhere.query("commit");
  await db.query("alter table rouse.job set (autovacuum_enabled = false)");
  await finish(FINISHED);
  await enqueue(20);
  await allSee();
  const bookmark = bookmarkOf(await exchange())!;

  // The first look has marked them.
  const { entries } = await readsOf({ most: 5 });
  assert.ok(entries < 1_000, `the next one reads ${entries} entries`);
  assert.notEqual(bookmarkOf(await exchange({ most: 5 })), undefined);
  const whole = await readsOf({ most: 5 });
  const next = await readsOf({ most: 5, bookmark: bookmark.payload, whole: false });
  assert.ok(next.pages < whole.pages - 100, `${next.pages} pages from a bookmark, ${whole.pages} from the heads`);
  await db.query("alter table rouse.job reset (autovacuum_enabled)");
});

test("jobs that came due under an old snapshot, and such as expired, are walked past once, and from a bookmark not at all", async () => {
  await finish(FINISHED, "task, state, run_at, expires_at", "'noop', 'scheduled', t, t");
  await enqueue(1);
  const bookmark = bookmarkOf(await exchange())!;
  await db.query(
    "insert into rouse.job (task, queue, state, run_at) values ('noop', 'mail', 'scheduled', clock_timestamp())",
  );
  const whole = await readsOf({});
  assert.ok(whole.entries >= FINISHED * 2 && whole.entries < FINISHED * 2.02, `${whole.entries} entries`);
  const next = await readsOf({ bookmark: bookmark.payload, whole: false });
  assert.ok(next.entries < 200, `the next one reads ${next.entries} entries`);
  assert.equal(outcomes(await exchange({ bookmark: bookmark.payload, whole: false })), "claimed look_again");
});

test("a bookmark is given where the way was long, and to who asks for one", async () => {
  await enqueue(2_000);
  for (const most of [1, 500]) assert.equal(bookmarkOf(await exchange({ most })), undefined);
  await finish(FINISHED);
  assert.equal(
    bookmarkOf(await rows<Row>(session, "select * from rouse.exchange_v1($1, null, null, 1)", [worker])),
    undefined,
  );
  await enqueue(1);
  assert.ok(bookmarkOf(await exchange()));
});

test("a bookmark is given again where claims have gone on from it for long, and each job is claimed once", async () => {
  await finish(FINISHED);
  // No place is later than a tenth of a second ago.
  await db.query(
    "insert into rouse.job (task, run_at) select 'noop', now() - interval '1 s' from generate_series(1, 1000)",
  );
  let { payload } = bookmarkOf(await exchange())!;
  const given = [];
  for (let n = 0; n < 400; n++) {
    const answer = await exchange({ most: 2, bookmark: payload, whole: false });
    assert.equal(answer.filter(({ outcome }) => outcome === "claimed").length, 2);
    const next = bookmarkOf(answer);
    if (next) {
      payload = next.payload;
      given.push(n);
    }
  }
  assert.ok(given.length > 0 && given.length < 20, `given by the calls ${given}`);
  const { entries } = await readsOf({ most: 2, bookmark: payload, whole: false });
  assert.ok(entries < 1_000, `the next one reads ${entries} entries`);
});

test("B23: a call from a bookmark that admits jobs asks for a look soon: they have waited, and may be behind", async () => {
  const bookmark = await farOn();
  assert.equal(bookmarkOf(await exchange({ bookmark, whole: false })), undefined);
  await db.query("select rouse.enqueue('noop', concurrency_key => 'a', priority => 9)");
  assert.equal(bookmarkOf(await exchange({ bookmark, whole: false }))!.wait_ms, 0);
});

test("B23: where nothing was ever found a bookmark has no place: none is given after a short way, and looks find what comes", async () => {
  await finish(3_000);
  assert.equal(outcomes(await exchange()), "sleep");
  assert.deepEqual((await look({})).bookmark, {});
  await enqueue(1);
  const { payload } = bookmarkOf(await exchange())!;
  await db.query("delete from rouse.job");
  assert.equal(outcomes(await exchange({ bookmark: payload })), "bookmark sleep");

  await finish(FINISHED);
  const { payload: bookmark } = bookmarkOf(await exchange())!;
  await enqueue(1);
  assert.equal(outcomes(await exchange({ bookmark, whole: false })), NOTHING);
  const found = await look(bookmark);
  assert.equal(found.outcome, "look_again");
  assert.equal(outcomes(await exchange({ bookmark: found.bookmark, whole: false })), "claimed look_again");
});

test("a claim at a bookmark goes on with each queue and priority, in order, and leaves paused queues alone", async () => {
  await finish(FINISHED);
  const add = (jobs: string) => db.query(`insert into rouse.job (task, queue, priority) values ${jobs}`);
  await add("('noop', 'a', 0), ('noop', 'a', 5), ('noop', 'b', 0), ('noop', 'c', 0)");
  const { payload } = bookmarkOf(await exchange())!;
  await db.query("select rouse.pause('c')");
  await add("('noop', 'c', 0), ('noop', 'a', 0), ('noop', 'b', 0), ('noop', 'a', 5)");
  const claimed = (await exchange({ most: 3, bookmark: payload, whole: false })).filter(({ id }) => id !== null);
  assert.deepEqual(
    await rows(db.pool, "select queue, priority from rouse.job where id = any ($1) order by priority desc, id", [
      claimed.map(({ id }) => id),
    ]),
    [
      { queue: "a", priority: 5 },
      { queue: "a", priority: 0 },
      { queue: "b", priority: 0 },
    ],
  );
});

test("B23: who looked from a bookmark only is not told to sleep, nor taken to be settled", async () => {
  await finish(FINISHED);
  await enqueue(1);
  // Its sign is up from here on, and not settled.
  const { payload } = bookmarkOf(await exchange())!;
  const sleeper = () => value<string | null>(db.pool, "select next_wake::text from rouse.sleeper");
  await db.query("insert into rouse.job (task, priority) values ('noop', 9)");
  for (let n = 0; n < 2; n++) {
    assert.equal(outcomes(await exchange({ bookmark: payload, whole: false })), "look_again");
    assert.equal(await sleeper(), null);
  }
  assert.equal(outcomes(await exchange({ bookmark: payload })), "claimed bookmark sleep");
  assert.equal(await sleeper(), "infinity");
});

test("a job that commits a little later than one that was claimed is not left behind the bookmark", async () => {
  await finish(FINISHED);
  const now = await value<Date>(db.pool, "select clock_timestamp()::timestamptz(3)");
  const add = (age: string) =>
    db.query("insert into rouse.job (task, run_at) values ('noop', $1::timestamptz - $2::interval)", [now, age]);
  await add("0");
  const { payload } = bookmarkOf(await exchange({ asOf: now }))!;
  await add("90 ms");
  await add("110 ms");
  const claimed = await exchange({ bookmark: payload, whole: false });
  assert.equal(outcomes(claimed), "claimed look_again");
});

const NOTHING = "look_again";

type Look = { outcome: string; wait_ms: number | null; bookmark: Record<string, unknown>; due_ms: number };

async function look(bookmark: unknown, { slots = null }: { slots?: unknown } = {}) {
  const [answer] = await rows<Look>(
    session,
    "select * from rouse.look_v1($1, null, '{noop}', slots => $2, bookmark => $3)",
    [worker, slots === null ? null : JSON.stringify(slots), JSON.stringify(bookmark)],
  );
  return answer!;
}

/** A bookmark at which nothing is left. */
async function farOn(): Promise<unknown> {
  await finish(FINISHED);
  await enqueue(1);
  return bookmarkOf(await exchange())!.payload;
}

for (const [what, job] of [
  ["urgent", "(task, priority) values ('noop', 9)"],
  ["of a new queue", "(task, queue) values ('noop', 'other')"],
  ["committed late", "(task, run_at) values ('noop', now() - interval '10 s')"],
  ["due late", "(task, state, run_at) values ('noop', 'scheduled', now() - interval '10 s')"],
] as const) {
  test(`B23: a look at the whole finds a job that is ${what}, behind the bookmark, and the next call claims it`, async () => {
    const bookmark = await farOn();
    await db.query(`insert into rouse.job ${job}`);
    assert.equal(outcomes(await exchange({ bookmark, whole: false })), NOTHING);
    const began = performance.now();
    const found = await look(bookmark);
    assertSoon(found.due_ms, performance.now() - began);
    assert.equal(found.outcome, "look_again");
    assert.equal(outcomes(await exchange({ bookmark: found.bookmark, whole: false })), `claimed ${NOTHING}`);
  });
}

test("B18: a look at the whole walks past what has finished once, and waits for nobody", async () => {
  const bookmark = await farOn();
  const urgent = await value<string>(db.pool, "select rouse.enqueue('noop', priority => 9)");
  const other = await db.connect();
  await other.query("begin");
  await other.query("select from rouse.job where id = $1 for update", [urgent]);
  await look(bookmark);
  await session.query("begin");
  const before = await entriesRead();
  assert.equal((await look(bookmark)).outcome, "look_again");
  const entries = (await entriesRead()) - before;
  await session.query("rollback");
  await other.end();
  assert.ok(entries >= FINISHED && entries < FINISHED * 1.01, `it reads ${entries} entries`);
});

test("B23: a look that finds nothing settles the sign that a call from a bookmark put up, and says when to wake", async () => {
  const bookmark = await farOn();
  await exchange({ bookmark, whole: false });
  const sleeper = () => value<string | null>(db.pool, "select next_wake::text from rouse.sleeper");
  assert.equal(await sleeper(), null);

  // Nobody is told of this job: the look has to wait until it is there.
  const silent = await db.connect();
  await silent.query("begin");
  await silent.query("delete from rouse.sleeper");
  await silent.query("insert into rouse.job (task, priority) values ('noop', 9)");
  assert.deepEqual(await look(bookmark).then(({ outcome, wait_ms }) => ({ outcome, soon: wait_ms! <= 250 })), {
    outcome: "sleep",
    soon: true,
  });
  assert.equal(await sleeper(), null);
  await silent.query("rollback");
  await silent.end();

  const slept = await look(bookmark);
  assert.deepEqual([slept.outcome, slept.wait_ms, await sleeper()], ["sleep", null, "infinity"]);
  await db.query("select rouse.enqueue('noop', delay => '1 minute')");
  const timed = await look(bookmark);
  assert.ok(timed.wait_ms! > 50_000 && timed.wait_ms! <= 60_000, `wakes in ${timed.wait_ms} ms`);
});

test("a look leaves out queues that are paused or have no slot, and drops a bookmark that is no longer needed", async () => {
  const bookmark = await farOn();
  await db.query("insert into rouse.job (task, queue, priority) values ('noop', 'paused', 9), ('noop', 'full', 9)");
  await db.query("select rouse.pause('paused')");
  const outcome = async (slots: unknown) => (await look(bookmark, { slots })).outcome;
  assert.equal(await outcome({ full: 0, "*": 10 }), "sleep");
  assert.equal(await outcome({ full: 1, "*": 10 }), "look_again");
  assert.equal(await outcome(null), "look_again");

  await elsewhere.query("rollback");
  await db.query("vacuum rouse.job");
  assert.deepEqual((await look(bookmark)).bookmark, {});
});

test("a bookmark keeps each place where there are jobs, however many there are", async () => {
  const bookmark = await farOn();
  await db.query(
    "insert into rouse.job (task, queue, run_at) select 'noop', 'queue ' || n, now() - n * interval '1 s' from generate_series(1, 150) as n",
  );
  const found = (await look(bookmark)).bookmark;
  assert.ok((found.places as unknown[]).length >= 150);
  const claimed = await exchange({ most: 200, bookmark: found, whole: false });
  assert.equal(claimed.filter((row) => row.outcome === "claimed").length, 150);
});
