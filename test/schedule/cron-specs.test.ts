import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { nextTimes } from "./support/next-time.ts";

const database = testDatabase();

/** Specs that mean the same. */
const same: readonly (readonly string[])[] = [
  ["@yearly", "@annually", "0 0 1 1 *", "0 0 0 1 JAN *"],
  ["@monthly", "0 0 1 * *", "0 0 1 * ?"],
  ["@weekly", "0 0 * * 0", "0 0 * * 7", "0 0 ? * SUN", "0 0 * * sun-sun", "0 0 * * */7"],
  ["@daily", "@Midnight", "0 0 * * *", "0 0 0 * * *", "  0\t0\n* *   * "],
  ["@hourly", "0 * * * *", "0 */1 * * *"],
  ["*/15 * * * *", "0,15,30,45 * * * *", "0/15 * * * *", "0-59/15 * * * *"],
  ["5/20 * * * *", "5-59/20 * * * *", "5,25,45 * * * *"],
  ["0 12 * * sat-sun", "0 12 * * 6-7", "0 12 * * 6,0"],
  ["0 12 * * fri-SUN", "0 12 * * 5-7", "0 12 * * 5,6,7"],
  ["0 12 * * sun-tue", "0 12 * * 0-2", "0 12 * * 7,1,2"],
  ["0 12 * * 5/2", "0 12 * * 5,7"],
  ["0 12 * * mon-fri/2", "0 12 * * 1,3,5"],
  ["0 0 L * *", "0 0 $ * *", "0 0 l * *"],
  ["0 0 * * 5L", "0 0 * * friL", "0 0 * * FRIl"],
  ["0 0 * * 0L", "0 0 * * 7L"],
  ["0 0 * * 7#1", "0 0 * * sun#1", "0 0 */1 * 0#1"],
  ["every 90 minutes", "every 1h30m", "every 1:30", "every 1:30:00", "every PT1H30M", "@every 1h30m", "EVERY 5400 s"],
  ["every 1 day", "every day", "every 1d", "every P1D", "0 0 * * *"],
  ["every week", "every 7 days", "every 1w", "every P1W", "0 0 * * 1"],
  ["every month", "every 1 mon", "every P1M", "@monthly"],
  ["every 1 year", "every 12 months", "every P1Y", "@yearly"],
  ["every 2 hours", "0 */2 * * *"],
  [
    "at 2026-12-01 10:00",
    "2026-12-01T10:00:00Z",
    "AT 2026-12-01 11:00+01",
    "2026-12-01 15:30:00.000 +0530",
    "2026-12-01 10:00 utc",
  ],
  ["at 2026-12-01", "2026-12-01T00:00:00.000Z"],
];

for (const [first, ...others] of same) {
  for (const other of others) {
    test(`D1: ${JSON.stringify(other)} is ${JSON.stringify(first)}`, async () => {
      const expected = await nextTimes(database, 20, first!, "2026-01-01T12:00:00Z");
      assert.ok(expected.length > 0);
      assert.deepEqual(await nextTimes(database, 20, other, "2026-01-01T12:00:00Z"), expected);
    });
  }
}

test("D1: the parsed form tells what kind a spec is and is small", async () => {
  const rows = await database.query<{ kind: string; size: number }>(
    `select (parsed).kind, pg_column_size(parsed) as size
     from (select rouse.cron_parse(spec) as parsed from unnest($1::text[]) as spec) as s`,
    [["*/5 * * * *", "every 5 seconds", "at 2026-12-01 10:00"]],
  );
  assert.deepEqual(
    rows.map(({ kind }) => kind),
    ["cron", "every", "once"],
  );
  assert.ok(Math.max(...rows.map(({ size }) => size)) < 120, JSON.stringify(rows));
});
