/** Counts what calls read beside 100,000 jobs of one key, since on a busy machine times say little. */
import assert from "node:assert/strict";
import test from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { register, rows, value } from "../support/engine.ts";

const db = testDatabase();
let session: pg.Client;
let worker: number;

/** What is done, each in a transaction that is rolled back. The hot key's job 1 runs. */
const CALLS: [title: string, before: string, call: string][] = [
  // First, for what the others roll back leaves entries of running jobs behind, which it walks past.
  ["a beat", "", "select * from rouse.beat_v1($worker)"],
  ["a claim of others", "", "select * from rouse.exchange_v1($worker, null, null, 10)"],
  ["a claim of others by claim_v1", "", "select * from rouse.claim_v1($worker, null, null, 10)"],
  ["an enqueue", "", "select rouse.enqueue('other')"],
  ["an enqueue under another key", "", "select rouse.enqueue('other', concurrency_key => 'cold')"],
  [
    "the admission of another key",
    "select rouse.enqueue('other', concurrency_key => 'cold')",
    "select * from rouse.exchange_v1($worker, null, null, 10)",
  ],
  ["an enqueue under the hot key", "", "select rouse.enqueue('hot', concurrency_key => 'hot')"],
  [
    "the end of a job of the hot key, and the start of the next",
    "",
    "select * from rouse.exchange_v1($worker, null, null, 10, '{1}', array(select lease from rouse.job where id = 1))",
  ],
];

/** Entries of indexes and pages of all tables that a call reads. */
async function readsOf(before: string, call: string): Promise<{ entries: number; pages: number }> {
  const text = call.replace("$worker", String(worker));
  const read = () =>
    value<number>(
      session,
      `select sum(pg_stat_get_xact_tuples_returned(indexrelid))::integer from pg_index where indrelid = 'rouse.job'::regclass`,
    );
  const once = async () => {
    await session.query("begin");
    if (before !== "") await session.query(before);
    const start = await read();
    const [plan] = await rows<{ "QUERY PLAN": [{ Plan: Record<string, number> }] }>(
      session,
      `explain (analyze, buffers, format json) ${text}`,
    );
    const entries = (await read()) - start;
    await session.query("rollback");
    const { Plan } = plan!["QUERY PLAN"][0];
    return { entries, pages: Plan["Shared Hit Blocks"]! + Plan["Shared Read Blocks"]! };
  };
  // From the sixth time on it has its plans, and nothing is read of the catalog.
  for (let n = 0; n < 7; n++) await once();
  return once();
}

test("B16, B18: 100,000 jobs of one key cost nobody else anything, and the key itself no more than ten of them", async () => {
  session = await db.connect();
  worker = await register(session);
  await db.query("alter table rouse.job set (autovacuum_enabled = off)");
  const fill = (hot: number) =>
    db.query("insert into rouse.job (task, concurrency_key) select 'hot', 'hot' from generate_series(1, $1::integer)", [
      hot,
    ]);
  await fill(10);
  await session.query("select * from rouse.claim_v1($1)", [worker]);
  await db.query("insert into rouse.job (task) select 'other' from generate_series(1, 20)");
  await db.query("vacuum rouse.job, rouse.arrival");
  const few = [];
  for (const [, before, call] of CALLS) few.push(await readsOf(before, call));

  await fill(99_990);
  // Each tells of itself once, when the first exchange takes what has arrived.
  await session.query("select rouse.admit()");
  await db.query("vacuum rouse.job, rouse.arrival");
  for (const [n, [title, before, call]] of CALLS.entries()) {
    const many = await readsOf(before, call);
    const { entries, pages } = few[n]!;
    assert.ok(many.entries <= entries * 1.2 + 5, `${title} reads ${many.entries} entries instead of ${entries}`);
    // Indexes of so many jobs are a level deeper, for each row that is written; walking past them would be 500 pages.
    assert.ok(many.pages <= pages * 2 + 20, `${title} reads ${many.pages} pages instead of ${pages}`);
  }
});
