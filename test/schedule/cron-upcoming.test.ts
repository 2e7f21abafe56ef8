import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";

const database = testDatabase();

interface Upcoming {
  n: number;
  at: Date;
  local: string;
  utc: string;
  note: string | null;
}

function upcoming(spec: string, count: number, after: string, timezone: string): Promise<Upcoming[]> {
  return database.query<Upcoming & Record<string, unknown>>("select * from rouse.cron_upcoming($1, $2, $3, $4)", [
    spec,
    count,
    after,
    timezone,
  ]);
}

/** The local times of day with their notes. */
async function notes(spec: string, count: number, after: string, timezone: string): Promise<string[]> {
  const rows = await upcoming(spec, count, after, timezone);
  return rows.map(({ local, note }) => `${local.slice(15, 20)}${note ? `, ${note}` : ""}`);
}

test("D1: cron_upcoming shows the next times in the zone and in UTC", async () => {
  assert.deepEqual(await upcoming("30 2 * * *", 2, "2026-03-07T12:00:00Z", "America/New_York"), [
    {
      n: 1,
      at: new Date("2026-03-08T07:00:00Z"),
      local: "Sun 2026-03-08 03:00:00 -04:00",
      utc: "Sun 2026-03-08 07:00:00 Z",
      note: "clocks go forward: 02:30 does not exist, runs at 03:00",
    },
    {
      n: 2,
      at: new Date("2026-03-09T06:30:00Z"),
      local: "Mon 2026-03-09 02:30:00 -04:00",
      utc: "Mon 2026-03-09 06:30:00 Z",
      note: null,
    },
  ]);
});

test("D1: cron_upcoming marks a gap of an elapsed spec, where nothing runs", async () => {
  assert.deepEqual(await notes("*/30 2-3 * * *", 3, "2026-03-08T05:00:00Z", "America/New_York"), [
    "03:00, clocks go forward: 02:00 does not exist, skipped",
    "03:30",
    "02:00",
  ]);
});

test("D1: cron_upcoming marks both passes of an overlap", async () => {
  assert.deepEqual(await notes("*/30 1 * * *", 5, "2026-11-01T04:00:00Z", "America/New_York"), [
    "01:00, clocks go back: 01:00 comes twice, this is the first",
    "01:30, clocks go back: 01:30 comes twice, this is the first",
    "01:00, clocks go back: 01:00 comes twice, this is the second",
    "01:30, clocks go back: 01:30 comes twice, this is the second",
    "01:00",
  ]);
  assert.deepEqual(await notes("30 1 * * *", 2, "2026-11-01T04:00:00Z", "America/New_York"), [
    "01:30, clocks go back: 01:30 comes twice, this is the first",
    "01:30",
  ]);
});

test("D1: cron_upcoming marks intervals, single times and a day that was left out", async () => {
  assert.deepEqual(await notes("every 1 day", 2, "2024-09-07T12:00:00Z", "America/Santiago"), [
    "01:00, clocks go forward: 00:00 does not exist, runs at 01:00",
    "00:00",
  ]);
  assert.deepEqual(await notes("at 2026-03-08 02:30:10", 2, "2026-01-01T00:00:00Z", "America/New_York"), [
    "03:00, clocks go forward: 02:30:10 does not exist, runs at 03:00",
  ]);
  assert.deepEqual(await notes("every 1 hour", 2, "2026-03-08T06:00:00Z", "America/New_York"), ["03:00", "04:00"]);
  assert.deepEqual(await notes("0 12 * * *", 2, "2011-12-29T23:00:00Z", "Pacific/Apia"), [
    "12:00, clocks go forward: 2011-12-30 12:00 does not exist, skipped",
    "12:00",
  ]);
});

test("D1: cron_upcoming gives five times from now in UTC by default, fewer where no more follow, none for none", async () => {
  const rows = await database.query<{ n: number; at: Date }>("select n, at from rouse.cron_upcoming('* * * * *')");
  assert.deepEqual(
    rows.map(({ n }) => n),
    [1, 2, 3, 4, 5],
  );
  assert.ok(rows[0]!.at.getTime() - Date.now() <= 60_000);
  assert.equal((await upcoming("at 2026-12-01 10:00", 5, "2026-01-01T00:00:00Z", "UTC")).length, 1);
  assert.equal((await upcoming("@daily", 0, "2026-01-01T00:00:00Z", "UTC")).length, 0);
  assert.equal((await upcoming("@daily", 5, "infinity", "UTC")).length, 0);
  assert.equal((await upcoming("@daily", 1, "-infinity", "UTC"))[0]!.local, "Tue 0001-01-02 00:00:00 +00:00");
});
