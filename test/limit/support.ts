import type { TestDatabase } from "../support/database.ts";
import { type Claimed, clear, empty, rows, type Session, value } from "../support/engine.ts";

/** Empties what a test before may have left, limits included. */
export async function clearLimits(db: TestDatabase): Promise<void> {
  await clear(db);
  // The end of a limit makes arrivals.
  await empty(db, ["job_limit", "arrival", "holder", "meter"]);
}

export const complete = (session: Session, job: Claimed) =>
  value<string>(session, "select rouse.complete_v1($1, $2)", [job.id, job.lease]);

export const fail = (session: Session, job: Claimed, retryAt = "now") =>
  value<string>(session, "select rouse.fail_v1($1, $2, null, retry_at => $3)", [job.id, job.lease, retryAt]);

export const ids = (jobs: readonly Claimed[]) => jobs.map(({ id }) => id);

/** What every job is that lives, in the order of their ids. */
export const states = async (db: TestDatabase) =>
  (await rows<{ state: string }>(db.pool, "select state from rouse.job order by id"))
    .map(({ state }) => state)
    .join(" ");

/**
 * Makes an exchange as a worker does that writes down when each of its jobs begins and ends, the way a handler sees it: after
 * the claim, and before the end is told.
 */
export async function exchangeWithLedger(session: Session, worker: number, most: number, done: readonly Claimed[]) {
  const ended = done.map(({ id }) => id);
  await session.query("update ledger set ended_at = clock_timestamp() where job = any ($1)", [ended]);
  const answer = await rows<Claimed & { outcome: string }>(
    session,
    "select * from rouse.exchange_v1($1, null, null, $2, $3, $4)",
    [worker, most, ended, done.map(({ lease }) => lease)],
  );
  const claimed = answer.filter(({ outcome }) => outcome === "claimed");
  await session.query(
    `insert into ledger (job, task, key)
     select id, task, concurrency_key from rouse.job where id = any ($1) order by id`,
    [ids(claimed)],
  );
  return claimed;
}

export const createLedger = (db: TestDatabase) =>
  db.query(`create table if not exists ledger (
    job bigint, task text, key text, started_at timestamptz not null default clock_timestamp(), ended_at timestamptz)`);

/** The most jobs that ran at an instant, by the ledger. */
export const mostAtOnce = (db: TestDatabase, where = "true") =>
  value<number>(
    db.pool,
    `select coalesce(max(n), 0)::integer from (
       select sum(step) over (order by at, step) as n from (
         select started_at as at, 1 as step from ledger where ${where}
         union all
         select ended_at, -1 from ledger where ${where}
       ) as steps
     ) as sums`,
  );
