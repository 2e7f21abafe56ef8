import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { clear, register, rows, value } from "../support/engine.ts";
import { until } from "../support/until.ts";

const db = testDatabase();
beforeEach(() => clear(db));

/** Jobs that this worker has run for a minute. */
const running = (worker: number, jobs = 1) =>
  rows<{ id: string }>(
    db.pool,
    `insert into rouse.job (task, state, attempt, lease, worker_id, started_at)
     select 'noop', 'running', 1, gen_random_uuid(), $1, now() - interval '1 minute' from generate_series(1, $2)
     returning id`,
    [worker, jobs],
  );

test("behind an old snapshot a beat seldom reads all that a worker has run since", async () => {
  const ENDED = 300_000;
  const elsewhere = await db.connect();
  await elsewhere.query("begin isolation level repeatable read; select from rouse.job");
  const session = await db.connect();
  const worker = await register(session);
  await running(worker, ENDED);
  await db.query("delete from rouse.job");
  await running(worker);

  const entriesRead = () =>
    value<number>(session, "select pg_stat_get_xact_tuples_returned('rouse.job_running'::regclass)::integer");
  const memory = `rouse.count_${await value<string>(session, "select rouse.installation()")}`;
  const due = `select extract(epoch from clock_timestamp()) > current_setting('${memory}')::numeric`;
  const beats = [];
  for (let n = 0; n < 5; n++) {
    if (n === 2) await until(() => value<boolean>(session, due), { message: "the jobs are to be counted again" });
    // As if the clock had been set back by an hour.
    if (n === 4)
      await session.query("select set_config($1, (current_setting($1)::numeric + 3600)::text, false)", [memory]);
    await session.query("begin");
    const before = await entriesRead();
    const [beat] = await rows(session, "select long_held, busy from rouse.beat_v1($1)", [worker]);
    const entries = (await entriesRead()) - before;
    await session.query("commit");
    beats.push({ ...beat, all: entries > ENDED, few: entries < 100 });
  }
  const counted = { long_held: "1", busy: true, all: true, few: false };
  const not = { long_held: null, busy: true, all: false, few: true };
  assert.deepEqual(beats, [counted, not, counted, not, counted]);
  await elsewhere.end();
});

test("jobs of workers that there are no longer are given back, whoever else runs jobs", async () => {
  const gone = [await register(db.pool, "gone"), await register(db.pool, "gone, too")];
  const alive = await register(db.pool, "alive");
  await db.query("delete from rouse.worker where id = any ($1)", [gone]);
  const jobs = await Promise.all([...gone, alive, alive + 1_000].map((worker) => running(worker)));
  await db.query("select rouse.sweep()");
  const states = await rows(
    db.pool,
    "select state from rouse.job where id = any ($1) order by array_position($1, id)",
    [jobs.flat().map(({ id }) => id)],
  );
  assert.deepEqual(
    states.map(({ state }) => state),
    ["ready", "ready", "running", "ready"],
  );
});
