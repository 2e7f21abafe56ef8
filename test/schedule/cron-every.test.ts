import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { nextMultiple, type Period } from "./support/every.ts";
import { nextTimes } from "./support/next-time.ts";
import { Random } from "./support/random-cron.ts";

const database = testDatabase();

test("D1: intervals are read as PostgreSQL reads them", async () => {
  const periods = [
    ...[
      "5 seconds",
      "5 sec",
      "5secs",
      "90s",
      "1500 ms",
      "1500 milliseconds",
      "2.5 seconds",
      "0.5 min",
      "1 minute",
      "10 mins",
      "90m",
    ],
    ...[
      "1h",
      "2 hrs",
      "1.5 hours",
      "1h30m",
      "1h30m15s",
      "1 hour 30 minutes",
      "36:00",
      "12:30:15",
      "12:30:15.25",
      "2 days",
      "1d",
      "1 day 02:00",
    ],
    ...[
      "1 week",
      "2w",
      "1 w 2 d",
      "1 mon",
      "3 months",
      "1 year",
      "2 yrs",
      "1y 2mons 3d 4h 5m 6s",
      "1 year 2 mons 3 days 04:05:06",
    ],
    ...["PT5M", "P1D", "P1DT2H", "P1Y2M3DT4H5M6S", "P2W", "PT0.5H", "PT90S"],
  ];
  const rows = await database.query<{ period: string; ours: string; theirs: string }>(
    `select period, (rouse.cron_parse('every ' || period)).period::text as ours, period::interval::text as theirs
     from unnest($1::text[]) as period`,
    [periods],
  );
  assert.equal(rows.length, periods.length);
  for (const { period, ours, theirs } of rows) assert.equal(ours, theirs, period);
});

test("D1: every 5 seconds keeps its beat over clock changes and years", async () => {
  for (const after of ["2026-03-08T06:59:58Z", "2026-11-01T05:59:58.5Z", "2099-12-31T23:59:56Z"]) {
    const times = (await nextTimes(database, 4, "every 5 seconds", after, "America/New_York")).map((time) =>
      Date.parse(time),
    );
    assert.ok(times[0]! > Date.parse(after) && times[0]! - Date.parse(after) <= 5000);
    assert.deepEqual(
      times.map((time) => time - times[0]!),
      [0, 5000, 10_000, 15_000],
    );
    assert.equal(times[0]! % 5000, 0);
  }
});

test("D1: days and months keep the local time, hours count what has elapsed", async () => {
  const times = (spec: string) => nextTimes(database, 3, spec, "2026-03-28T12:00:00Z", "Europe/Berlin");
  assert.deepEqual(await times("every 1 day"), [
    "2026-03-28T23:00:00Z",
    "2026-03-29T22:00:00Z",
    "2026-03-30T22:00:00Z",
  ]);
  assert.deepEqual(await times("every 24 hours"), [
    "2026-03-28T23:00:00Z",
    "2026-03-29T23:00:00Z",
    "2026-03-30T23:00:00Z",
  ]);
  assert.deepEqual(await times("every 1 month"), [
    "2026-03-31T22:00:00Z",
    "2026-04-30T22:00:00Z",
    "2026-05-31T22:00:00Z",
  ]);
});

test("D1: without an anchor they count from Monday, 1 January 2001, in the zone", async () => {
  assert.deepEqual(await nextTimes(database, 1, "every 1000 weeks", "2000-12-01T00:00:00Z", "Asia/Kolkata"), [
    "2000-12-31T18:30:00Z",
  ]);
  assert.deepEqual(await nextTimes(database, 1, "every 7 hours", "2000-12-31T12:00:00Z", "Asia/Kolkata"), [
    "2000-12-31T18:30:00Z",
  ]);
});

async function nextFrom(anchor: string, period: string, after: string): Promise<string> {
  const [row] = await database.query<{ next: string }>(
    `select to_char(rouse.cron_after(rouse.cron_parse($2), $3, 'Europe/Berlin', $1) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') as next`,
    [anchor, period, after],
  );
  return row!.next;
}

test("D1: with an anchor they count from there, the anchor included, each from the anchor and not from the one before", async () => {
  const anchor = "2026-01-31 08:00:00.250Z";
  assert.equal(await nextFrom(anchor, "every 7 seconds", "2026-01-31 08:00:00Z"), "2026-01-31 08:00:00.250");
  assert.equal(await nextFrom(anchor, "every 7 seconds", anchor), "2026-01-31 08:00:07.250");
  assert.equal(await nextFrom(anchor, "every 1 month", "2026-02-01Z"), "2026-02-28 08:00:00.250");
  assert.equal(await nextFrom(anchor, "every 1 month", "2026-03-01Z"), "2026-03-31 07:00:00.250");
  assert.equal(await nextFrom("infinity", "every 1 month", "2026-03-02Z"), "2026-03-31 22:00:00.000");
});

test("D1: 1,500 random intervals, anchors, zones and instants give what trying each multiple gives", async () => {
  const random = new Random(7);
  const zones = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "America/Havana",
  ];
  const cases = Array.from({ length: 1500 }, () => {
    const kind = random.pick(["elapsed", "days", "months", "mixed"]);
    const period: Period = {
      months: kind === "months" || kind === "mixed" ? random.between(1, 20) : 0,
      days: kind === "days" ? random.between(1, 20) : kind === "mixed" ? random.between(0, 20) : 0,
      elapsed: kind === "elapsed" ? random.between(1000, 1e8) : kind === "mixed" ? random.between(0, 1e8) : 0,
    };
    const anchor = Math.floor(Date.UTC(1990, 0, 1) + random.next() * 60 * 366 * 86_400_000);
    const after = Math.floor(Date.UTC(1990, 0, 1) + random.next() * 60 * 366 * 86_400_000);
    return { period, anchor, after, zone: random.pick(zones) };
  });
  const rows = await database.query<{ next: string }>(
    `select round(extract(epoch from rouse.cron_after(rouse.cron_parse(spec), to_timestamp(after / 1000), zone, to_timestamp(anchor / 1000))) * 1000) as next
     from unnest($1::text[], $2::float8[], $3::text[], $4::float8[]) with ordinality as question (spec, after, zone, anchor, n)
     order by n`,
    [
      cases.map(({ period: { months, days, elapsed } }) => `every ${months} months ${days} days ${elapsed} ms`),
      cases.map(({ after }) => after),
      cases.map(({ zone }) => zone),
      cases.map(({ anchor }) => anchor),
    ],
  );
  for (const [index, { period, anchor, after, zone }] of cases.entries()) {
    const expected = nextMultiple(period, after, zone, anchor);
    const found = Number(rows[index]!.next);
    const question = `${JSON.stringify(period)} from ${new Date(anchor).toISOString()} after ${new Date(after).toISOString()} in ${zone}`;
    assert.equal(new Date(found).toISOString(), new Date(expected).toISOString(), question);
  }
});
