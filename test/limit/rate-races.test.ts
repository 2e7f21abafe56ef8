import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { type Claimed, declare, register, rows, type Session, value } from "../support/engine.ts";
import { clearLimits } from "./support.ts";

const db = testDatabase();

beforeEach(async () => {
  await clearLimits(db);
  // What a rate promises is about every start, also those of attempts that came to nothing.
  await db.query(`
    create table if not exists start (lane text, at timestamptz);
    truncate start;
    create or replace function note_start() returns trigger language plpgsql as $$
    begin
      insert into public.start
      select l, new.started_at from unnest(array['task:' || new.task, 'key:' || new.concurrency_key]) as l
      where l is not null;
      return null;
    end $$;
    create or replace trigger note_start after update on rouse.job for each row
    when (new.state = 'running' and old.state = 'ready') execute function note_start()`);
});

const MS = 3_000;
const TASK = { rate: 300, burst: 3 };
const KEY = { rate: 40, burst: 2 };

/** Whatever a worker does with a job that it has, one call at a time. */
async function work(session: Session, until: number): Promise<void> {
  let worker = await register(session);
  let held: Claimed[] = [];
  const part = () => held.splice(0, Math.floor(Math.random() * (held.length + 1)));
  while (Date.now() < until) {
    // As from psql: an end that admits nobody.
    for (const { id, lease } of part()) await session.query("select rouse.complete_v1($1, $2)", [id, lease]);
    const completed = part();
    const failures = part().map(({ id, lease }) => ({
      id,
      lease,
      error: "on purpose",
      retry: true,
      retry_in: Math.random() < 0.5 ? "0" : "20 ms",
    }));
    const releases = part().map(({ id, lease }) => ({ id, lease }));
    const answer = await rows<Claimed & { outcome: string }>(
      session,
      `select * from rouse.exchange_v1($1, null, null, $2, $3, $4, failures => $5, releases => $6)`,
      [
        worker,
        Math.floor(Math.random() * 5),
        completed.map(({ id }) => id),
        completed.map(({ lease }) => lease),
        JSON.stringify(failures),
        JSON.stringify(releases),
      ],
    );
    held.push(...answer.filter(({ outcome }) => outcome === "claimed"));
    const dice = Math.random();
    if (dice < 0.1) await session.query("select from rouse.beat_v1($1)", [worker]);
    else if (dice < 0.15) await session.query("select rouse.repair_lanes()");
    else if (dice < 0.2) {
      await session.query("select rouse.deregister_v1($1)", [worker]);
      worker = await register(session);
      held = [];
    } else if (dice < 0.25) {
      // As a process does that dies: the next beat finds the orphans.
      await session.query("delete from rouse.worker where id = $1", [worker]);
      worker = await register(session);
      held = [];
    }
  }
}

test("B17: workers that finish, fail, give back and die all at once keep to the rates of a task and of its keys", async () => {
  const retry = { max_attempts: 1000 };
  await declare(
    db.pool,
    { name: "plain", ...retry, limit: { ...TASK, period: "1 second" } },
    { name: "holding", ...retry, limit: { ...TASK, period: "1 second", concurrency: 20, holds: true } },
    { name: "keyed", ...retry, limit: { ...TASK, period: "1 second" }, key_limit: { ...KEY, period: "1 second" } },
  );
  await db.query(`
    insert into rouse.job (task, concurrency_key)
    select t, case when t = 'keyed' then 'k' || n % 5 end
    from unnest(array['plain', 'holding', 'keyed']) as t, generate_series(1, ${MS}) as n`);
  const until = Date.now() + MS;
  await Promise.all(Array.from({ length: 5 }, async () => work(await db.connect(), until)));

  const lanes = await rows<{ lane: string; starts: number; most: number }>(
    db.pool,
    // As a bucket that fills by rate sees it: the most that it was short of, at any start.
    `select lane, count(*)::int as starts, max(level)::float as most
     from (
       select lane, 1 + behind - min(behind) over (partition by lane order by n) as level
       from (
         select
           lane, n,
           n - extract(epoch from at) * case when lane like 'key:%' then ${KEY.rate} else ${TASK.rate} end as behind
         from (select *, row_number() over (partition by lane order by at) as n from start) as s
       ) as s
     ) as s
     group by lane
     order by lane`,
  );
  assert.equal(lanes.length, 8, "of three tasks and five keys");
  for (const { lane, starts, most } of lanes) {
    assert.ok(starts > 10, `${lane} started ${starts} jobs`);
    assert.ok(most <= (lane.startsWith("key:") ? KEY : TASK).burst + 0.001, `${lane} was ahead by ${most}`);
  }
  assert.ok((await value<number>(db.pool, "select count(*)::int from rouse.archive")) > 0, "some jobs ended");
});
