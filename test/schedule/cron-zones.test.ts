import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { nextTime, nextTimes } from "./support/next-time.ts";

const database = testDatabase();

// Data that several releases of the zone database agree on: changes of the past.
const changes: readonly (readonly [title: string, zone: string, spec: string, after: string, expected: string[]])[] = [
  [
    "several times in one gap run once",
    ...(["Europe/Berlin", "0,30 2 * * *", "2025-03-29T12:00:00Z"] as const),
    ["2025-03-30T01:00:00Z", "2025-03-31T00:00:00Z"],
  ],
  [
    "a time at the end of a gap is not run twice",
    ...(["Europe/Berlin", "30 2,3 * * *", "2025-03-30T00:30:00Z"] as const),
    ["2025-03-30T01:00:00Z", "2025-03-30T01:30:00Z", "2025-03-31T00:30:00Z"],
  ],
  [
    "one that coincides with the end of a gap is not run twice",
    ...(["Europe/Berlin", "0 2,3 * * *", "2025-03-30T00:30:00Z"] as const),
    ["2025-03-30T01:00:00Z", "2025-03-31T00:00:00Z"],
  ],
  [
    "midnight in a gap",
    ...(["Asia/Beirut", "@daily", "2024-03-29T22:00:00Z"] as const),
    ["2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z"],
  ],
  [
    "midnight in a gap",
    ...(["America/Santiago", "0 0 * * *", "2024-09-07T12:00:00Z"] as const),
    ["2024-09-08T04:00:00Z", "2024-09-09T03:00:00Z"],
  ],
  [
    "midnight in a gap",
    ...(["America/Asuncion", "0 0 * * *", "2023-09-30T12:00:00Z"] as const),
    ["2023-10-01T04:00:00Z", "2023-10-02T03:00:00Z"],
  ],
  [
    "midnight comes twice",
    ...(["America/Havana", "30 0 * * *", "2024-11-02T12:00:00Z"] as const),
    ["2024-11-03T04:30:00Z", "2024-11-04T05:30:00Z"],
  ],
  [
    "a gap of half an hour",
    ...(["Australia/Lord_Howe", "15 2 * * *", "2024-10-05T00:00:00Z"] as const),
    ["2024-10-05T15:30:00Z", "2024-10-06T15:15:00Z"],
  ],
  [
    "an overlap of half an hour, both passes",
    ...(["Australia/Lord_Howe", "*/15 1 * * *", "2024-04-06T14:30:00Z"] as const),
    ["2024-04-06T14:45:00Z", "2024-04-06T15:00:00Z", "2024-04-06T15:15:00Z", "2024-04-07T14:30:00Z"],
  ],
  [
    "a gap of two hours",
    ...(["Antarctica/Troll", "30 1 * * *", "2024-03-30T12:00:00Z"] as const),
    ["2024-03-31T01:00:00Z", "2024-03-31T23:30:00Z"],
  ],
  [
    "a day that was left out does not run",
    ...(["Pacific/Apia", "0 12 * * *", "2011-12-28T22:00:00Z"] as const),
    ["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"],
  ],
  [
    "a day that was left out does not run, each minute",
    ...(["Pacific/Apia", "*/30 * 30 12 *", "2011-12-28T22:00:00Z"] as const),
    ["2012-12-29T10:00:00Z", "2012-12-29T10:30:00Z"],
  ],
  [
    "a month whose only day was left out waits for the next",
    ...(["Pacific/Kwajalein", "0 6 21 * *", "1993-08-01T00:00:00Z"] as const),
    ["1993-09-20T18:00:00Z"],
  ],
  [
    "a zone that changes its offset without summer time",
    ...(["Asia/Pyongyang", "45 23 * * *", "2018-05-03T12:00:00Z"] as const),
    ["2018-05-03T15:15:00Z", "2018-05-04T15:00:00Z"],
  ],
  [
    "a zone that moved back without summer time, both passes",
    ...(["Europe/Moscow", "30 * * * *", "2014-10-25T21:00:00Z"] as const),
    ["2014-10-25T21:30:00Z", "2014-10-25T22:30:00Z", "2014-10-25T23:30:00Z"],
  ],
  [
    "a gap that takes a fixed time far from whole hours",
    ...(["Africa/Monrovia", "20 0 * * *", "1972-01-06T12:00:00Z"] as const),
    ["1972-01-07T00:44:30Z", "1972-01-08T00:20:00Z"],
  ],
];

for (const [title, zone, spec, after, expected] of changes) {
  test(`D1: ${title}: ${spec} in ${zone}`, async () => {
    assert.deepEqual(await nextTimes(database, expected.length, spec, after, zone), expected);
  });
}

test("D1: in an overlap a fixed time that has run does not run again, whenever it is asked", async () => {
  for (const after of ["05:30:00Z", "05:45:00Z", "06:00:00Z", "06:15:00Z", "06:59:59Z"]) {
    assert.equal(
      await nextTime(database, "30 1 * * *", `2026-11-01T${after}`, "America/New_York"),
      "2026-11-02T06:30:00Z",
    );
  }
});

test("D2: every name of a zone is taken, in any case, but those that PostgreSQL reads as abbreviations", async () => {
  const refused = ["CET", "EET", "EST", "HST", "MET", "MST", "WET", "Factory", "localtime", "posixrules"];
  const client = await database.connect();
  await client.query(`
    create function pg_temp.refused(zone text) returns boolean language plpgsql as $$
    begin
      return rouse.cron_zone(zone) <> zone;
    exception when sqlstate '22023' then
      return true;
    end $$;
  `);
  const { rows } = await client.query<{ name: string }>(`
    select name
    from pg_timezone_names
    cross join lateral unnest(array[name, lower(name), upper(name)]) as written
    where name !~ '^(posix|right)/' and pg_temp.refused(written)
    group by name`);
  const names = rows.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) => !refused.includes(name)),
    [],
  );
});

test("D2: abbreviations, offsets and POSIX rules are no zones, nor are unknown names", async () => {
  const wrong = [
    "CET",
    "est",
    "MSK",
    "PST8PDT,M3.2.0,M11.1.0",
    "UTC+2",
    "GMT+2",
    "+02:00",
    "2",
    "Europe/Berlin5",
    "Foo/Bar",
  ];
  const others = [
    "Europe",
    "Europe/",
    "America/Argentina",
    "right/Europe/Berlin",
    "localtime",
    "",
    " UTC",
    "Europe/Berlin\n",
  ];
  for (const zone of [...wrong, ...others]) {
    await assert.rejects(
      nextTime(database, "@daily", "2026-01-01T00:00:00Z", zone),
      (error: Record<string, string>) => {
        assert.ok(error.message!.startsWith('time zone: "'), `${zone}: ${error.message}`);
        assert.equal(error.code, "22023", zone);
        assert.match(error.hint!, /Europe\/Berlin/);
        return true;
      },
    );
  }
});

for (const [wrong, meant] of [
  ["Europe/Belrin", "Europe/Berlin"],
  ["new york", "America/New_York"],
  ["Kolkata", "Asia/Kolkata"],
  ["America/Los Angeles", "America/Los_Angeles"],
] as const) {
  test(`D2: the hint for ${wrong} names ${meant} first`, async () => {
    await assert.rejects(
      nextTime(database, "@daily", "2026-01-01T00:00:00Z", wrong),
      ({ hint }: Record<string, string>) => hint!.startsWith(`Nearest: ${meant}`),
    );
  });
}
