import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "../support/database.ts";

const database = testDatabase();

// Up to PostgreSQL 17 a forbidden scan that is used all the same, of a table without a fitting index, is priced so high that
// the plan is compiled each time: an enqueue then took 400 ms instead of one.
test("functions that forbid a kind of plan forbid compiling plans too", async () => {
  const compiling = await database.query(`
    select p.oid::regprocedure::text as function
    from pg_proc as p
    where p.pronamespace = 'rouse'::regnamespace
      and exists (select from unnest(p.proconfig) as setting where setting ~ '^enable_.*=off$')
      and not p.proconfig @> array['jit=off']`);
  assert.deepEqual(compiling, []);
});
