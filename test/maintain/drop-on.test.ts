import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { value } from "../support/engine.ts";

const db = testDatabase();

/** When a job that finished then, to be kept so long, may go: the day after the last it must be kept, rounded up. */
const cases: [finished: string, keep: string, dropOn: string][] = [
  ["2027-01-10 00:00:00Z", "1 second", "2027-01-11"],
  ["2027-01-10 23:59:59Z", "1 second", "2027-01-12"],
  ["2027-01-10 12:00:00Z", "1 day", "2027-01-12"],
  ["2027-01-10 12:00:00Z", "36 hours", "2027-01-13"],
  ["2027-01-10 12:00:00Z", "10 days", "2027-01-21"],
  // Beyond ten days a Monday.
  ["2027-01-10 12:00:00Z", "10 days 1 second", "2027-01-25"],
  ["2027-01-01 00:00:00Z", "11 days", "2027-01-18"],
  ["2027-01-01 00:00:00Z", "17 days", "2027-01-25"],
  ["2027-01-01 00:00:00Z", "16 days 23:59:59", "2027-01-18"],
  ["2027-01-10 12:00:00Z", "30 days", "2027-02-15"],
  ["2026-12-20 12:00:00Z", "11 days", "2027-01-04"],
  // Beyond ten weeks the first of a month.
  ["2027-01-10 12:00:00Z", "71 days", "2027-04-01"],
  ["2027-01-31 12:00:00Z", "3 months", "2027-05-01"],
  ["2027-12-31 23:59:59Z", "1 year", "2029-01-01"],
  ["2028-02-29 12:00:00Z", "1 year", "2029-03-01"],
  ["2027-01-10 12:00:00Z", "5000 years", "3027-02-01"],
  // Across the changes of clocks.
  ["2027-03-28 00:30:00Z", "1 day", "2027-03-30"],
  ["2027-10-31 00:30:00+02", "1 day", "2027-11-01"],
];

test("a retention is rounded up to days, weeks and months of UTC, in any zone of the session", async () => {
  for (const zone of ["UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati"]) {
    for (const [finished, keep, dropOn] of cases) {
      const client = await db.pool.connect();
      try {
        await client.query(`set timezone = '${zone}'`);
        const found = await value(client, "select rouse.drop_on($1::timestamptz, $2)::text", [finished, keep]);
        assert.equal(found, dropOn, `${finished} kept ${keep}, in ${zone}`);
      } finally {
        await client.query("reset timezone");
        client.release();
      }
    }
  }
});

test("an infinite retention, where the server knows one, is a thousand years", async () => {
  if ((await value<number>(db.pool, "select current_setting('server_version_num')::integer")) < 170000) return;
  assert.equal(
    await value(db.pool, "select rouse.drop_on('2027-01-10 12:00Z', interval 'infinity')::text"),
    "3027-02-01",
  );
});
