import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { nextTime } from "./support/next-time.ts";
import { type Question, Random, randomQuestion } from "./support/random-cron.ts";

const database = testDatabase();

/** Questions about specs of every kind. The seed decides those about cron, so that a failure can be repeated. */
const questions: fc.Arbitrary<Question> = fc.oneof(
  { weight: 4, arbitrary: fc.nat().map((seed) => randomQuestion(new Random(seed))) },
  {
    weight: 1,
    arbitrary: fc.record({
      spec: fc.oneof(
        fc.integer({ min: 1, max: 100_000 }).map((n) => `every ${n} seconds`),
        fc.integer({ min: 1, max: 1000 }).map((n) => `every ${n}.25s`),
        fc.integer({ min: 1, max: 40 }).map((n) => `every ${n} days`),
        fc.integer({ min: 1, max: 30 }).map((n) => `every ${n} months`),
        fc.constantFrom("every 1 day 6 hours", "every 1 month 1 day", "every 1 year 3 seconds", "at 2026-03-29 02:30"),
      ),
      zone: fc.constantFrom(
        "UTC",
        "Europe/Berlin",
        "Pacific/Apia",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "America/Havana",
      ),
      after: fc.integer({ min: Date.UTC(1990, 0, 1), max: Date.UTC(2050, 0, 1) }),
    }),
  },
);

/** The promise's result; undefined where the spec of a random question has no date. */
async function unlessImpossible<Result>(result: Promise<Result>): Promise<Result | undefined> {
  return result.catch((error: Error) => {
    if (error.message.startsWith("day of month: no date matches")) return undefined;
    throw error;
  });
}

test("D2: cron_next is strictly increasing, and the same for every instant from one time up to the next", async () => {
  let times = 0;
  const property = fc.asyncProperty(questions, fc.integer({ min: 0, max: 999 }), async (question, part) => {
    const rows = database.query<{ times: number; increasing: boolean; same: boolean }>(
      `with recursive run (n, at, next) as (
         select 1, at, rouse.cron_next($1, at, $3) from (select to_timestamp($2::float8 / 1000) as at) as start
         union all
         select n + 1, next, rouse.cron_next($1, next, $3) from run where n < 12 and next is not null
       ),
       probe (next, at) as (
         select next, next - interval '1 microsecond' from run
         union all
         select next, least(at + make_interval(secs => $4::float8 * extract(epoch from next - at)::float8), next - interval '1 microsecond')
         from run
       )
       select
         (select count(next)::integer from run) as times,
         (select bool_and(next > at) from run) is not false as increasing,
         (select bool_and(rouse.cron_next($1, at, $3) = next) from probe where next is not null) is not false as same`,
      [question.spec, question.after, question.zone, part / 1000],
    );
    const [found] = (await unlessImpossible(rows)) ?? [];
    if (!found) return;
    times += found.times;
    assert.deepEqual(found, { times: found.times, increasing: true, same: true });
  });
  await fc.assert(property, { numRuns: 200 });
  assert.ok(times > 1500, `${times} times were looked at`);
});

const settings: readonly (readonly string[])[] = [
  ["set TimeZone = 'America/New_York'", "set DateStyle = 'SQL, DMY'", "set IntervalStyle = 'sql_standard'"],
  ["set TimeZone = 'Asia/Kathmandu'", "set DateStyle = 'German'", "set IntervalStyle = 'iso_8601'"],
  ["set TimeZone = 'Antarctica/Troll'", "set DateStyle = 'Postgres, MDY'", "set IntervalStyle = 'postgres_verbose'"],
  ["set timezone_abbreviations = 'Australia'", "set standard_conforming_strings = off", "set extra_float_digits = 0"],
  ["set lc_messages = 'C'", "set lc_time = 'C'", "set search_path = hostile, pg_catalog, public"],
];

test("D2: cron_next and cron_upcoming depend on their arguments alone, not on the session's settings", async () => {
  await database.query(`
    create schema hostile;
    create function hostile.wrong(text, text) returns boolean language sql immutable return true;
    create function hostile.wrong(bigint, bigint) returns bigint language sql immutable return 1;
    create operator hostile.~ (leftarg = text, rightarg = text, function = hostile.wrong);
    create operator hostile.= (leftarg = text, rightarg = text, function = hostile.wrong);
    create operator hostile.& (leftarg = bigint, rightarg = bigint, function = hostile.wrong);
    create operator hostile.<< (leftarg = bigint, rightarg = integer, function = pg_catalog.int8shr);
    create function hostile.lower(text) returns text language sql immutable return 'hostile';
    create function hostile.date_part(text, date) returns double precision language sql immutable return 1;
    create function hostile.date_trunc(text, timestamptz) returns timestamptz language sql immutable return $2;
    create function hostile.to_char(timestamp, text) returns text language sql immutable return 'hostile'`);
  const asked = [
    ...[
      "*/5 * * * *",
      "30 2 * * *",
      "*/30 1 * * *",
      "0 0 L * *",
      "0 9 * * mon#2,5L",
      "every 1:30",
      "every 1 month",
    ].flatMap((spec) =>
      ["2026-03-08T05:00:00Z", "2026-11-01T05:10:00Z"].map((after) => [spec, after, "America/New_York"]),
    ),
    ["every -5 seconds", "2026-03-08T05:00:00Z", "America/New_York"],
    ["at 2026-03-08 02:30", "2026-03-08T05:00:00Z", "America/New_York"],
    ["at 01/02/2027 02:30", "2026-03-08T05:00:00Z", "America/New_York"],
    ["@daily", "2026-03-08T05:00:00Z", "EST"],
    ...Array.from({ length: 100 }, (_, seed) => {
      const { spec, after, zone } = randomQuestion(new Random(seed));
      return [spec, new Date(after).toISOString(), zone];
    }),
  ];
  const answers = async (statements: readonly string[]) => {
    const client = await database.connect();
    for (const statement of statements) await client.query(statement);
    const all: string[] = [];
    for (const question of asked) all.push(await answer(client, question));
    return all;
  };
  const expected = await answers(["set TimeZone = 'UTC'"]);
  assert.equal(new Set(expected).size > 90, true, "the answers differ from one another");
  for (const statements of settings) assert.deepEqual(await answers(statements), expected, statements.join("; "));
});

/** What a session says to a question: the next times, or the error. Instants as numbers, which no setting changes. */
async function answer(client: pg.Client, values: readonly unknown[]): Promise<string> {
  const next =
    "select pg_catalog.date_part('epoch', rouse.cron_next($1, $2::timestamptz, $3))::pg_catalog.float8 as next";
  const upcoming = "select n, local, utc, note from rouse.cron_upcoming($1, 3, $2::timestamptz, $3)";
  const said: string[] = [];
  for (const question of [next, upcoming]) {
    const rows = client.query(question, [...values]).then((result) => JSON.stringify(result.rows), String);
    said.push(await rows);
  }
  return said.join("; ");
}

test("D2: names are read alike in every language, Turkish too, whose small I has no dot", async (t) => {
  const collations = await database.query("select from pg_collation where collname = 'tr-x-icu'");
  if (collations.length === 0) return t.skip("this server was built without ICU");
  const rows = await database.query(
    `select
       lower('FRI' collate "tr-x-icu") as turkish,
       rouse.cron_next('0 0 * * FRI' collate "tr-x-icu", '2026-01-01Z')::timestamptz = '2026-01-02Z' as next,
       rouse.cron_zone('INDIAN/MALDIVES' collate "tr-x-icu") as zone`,
  );
  assert.deepEqual(rows, [{ turkish: "frı", next: true, zone: "INDIAN/MALDIVES" }]);
});

test("D2: a day that a zone left out does not cost a look at each of its seconds", async () => {
  const client = await database.connect();
  await client.query("set statement_timeout = '1s'");
  const { rows } = await client.query(
    "select rouse.cron_next('0-59 0-59 0-23 * * *', '2011-12-30 09:59:59Z', 'Pacific/Apia') = '2011-12-30 10:00:00Z' as next",
  );
  assert.deepEqual(rows, [{ next: true }]);
});

test("D2: cron_next terminates on any spec, with a time, nothing or error 22023", async () => {
  const client = await database.connect();
  await client.query("set statement_timeout = '2s'");
  const words =
    "* ? L $ - , / # : . + @ 0 1 5 29 31 59 60 2026-02-29 every at mon sun feb days months s 1h PT T10:00 Z daily é ı ٣ ' \\ %s";
  const piece = fc.constantFrom(...words.split(" "), " ", "\t", "\n", "\u00a0");
  // A well-formed spec with one character changed, added or taken away.
  const damaged = fc
    .tuple(
      fc.nat(),
      fc.nat({ max: 40 }),
      fc.boolean(),
      fc.oneof(piece, fc.constantFrom("", "1", "2", "*", ",", "-", "/")),
    )
    .map(([seed, place, replace, text]) => {
      const { spec } = randomQuestion(new Random(seed));
      return spec.slice(0, place) + text + spec.slice(place + (replace ? 1 : 0));
    });
  const spec = fc.oneof(
    { weight: 4, arbitrary: damaged },
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
    fc
      .array(
        fc.array(piece, { maxLength: 4 }).map((pieces) => pieces.join("")),
        { minLength: 5, maxLength: 6 },
      )
      .map((all) => all.join(" ")),
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => `every ${text}`),
    fc
      .tuple(fc.constantFrom("every ", "at ", "@", ""), fc.array(piece, { maxLength: 6 }))
      .map(([start, rest]) => start + rest.join(" ")),
  );
  let values = 0;
  const property = fc.asyncProperty(spec, fc.constantFrom("UTC", "Pacific/Apia"), async (text, zone) => {
    try {
      await client.query("select rouse.cron_next($1, '2026-01-01Z', $2)", [text.replaceAll("\0", ""), zone]);
      values++;
    } catch (error) {
      assert.equal((error as { code?: string }).code, "22023", String(error));
      assert.match(String(error), /: (second|minute|hour|day of (month|week)|month|macro|interval|time|spec): /);
    }
  });
  await fc.assert(property, { numRuns: 1500 });
  assert.ok(values > 30, `${values} specs were well-formed`);
});

test("D2: any zone is either a name or refused with error 22023", async () => {
  const client = await database.connect();
  const zone = fc.oneof(
    fc.string({ unit: "binary", maxLength: 30 }),
    fc
      .array(
        fc.constantFrom("Europe", "Etc", "/", "GMT", "UTC", "Berlin", "+", "-", "5", "EST", "DST", "_", ",M3.2.0"),
        { maxLength: 5 },
      )
      .map((parts) => parts.join("")),
  );
  const { rows } = await client.query<{ name: string }>("select lower(name) as name from pg_timezone_names");
  const names = new Set(rows.map(({ name }) => name));
  const property = fc.asyncProperty(zone, async (text) => {
    const name = text.replaceAll("\0", "");
    const checked = client.query("select rouse.cron_zone($1)", [name]);
    if (names.has(name.toLowerCase())) await checked.catch((error) => assert.equal(error.code, "22023"));
    else await assert.rejects(checked, { code: "22023" });
  });
  await fc.assert(property, { numRuns: 60 });
});

for (const [spec, after, expected] of [
  ["* * * * *", "infinity", null],
  ["* * * * *", "-infinity", "0001-01-01T00:01:00Z"],
  ["* * * * *", "4713-06-01 00:00:00Z BC", "0001-01-01T00:01:00Z"],
  ["every 5 seconds", "infinity", null],
  ["every 5 seconds", "-infinity", "0001-01-01T00:00:05Z"],
  ["every 1000 years", "-infinity", "1001-01-01T00:00:00Z"],
  ["at 2026-12-01 10:00", "-infinity", "2026-12-01T10:00:00Z"],
  ["at 2026-12-01 10:00", "2026-12-01 10:00Z", null],
  ["at 2026-12-01 10:00", "infinity", null],
  ["@yearly", "9999-06-01 00:00Z", "10000-01-01T00:00:00Z"],
  ["@yearly", "289999-06-01 00:00Z", "290000-01-01T00:00:00Z"],
  ["@yearly", "290000-01-01 00:00Z", null],
  ["every 1000 years", "289999-12-31 00:00Z", "290001-01-01T00:00:00Z"],
  ["@yearly", "294276-12-31 23:59:59Z", null],
  ["0 0 29 2 */7", "2088-03-01 00:00Z", "2128-02-29T00:00:00Z"],
] as const) {
  test(`D2: ${spec} after ${after}: ${expected}`, async () => {
    assert.equal(await nextTime(database, spec, after), expected);
  });
}

test("D2: a null argument gives null", async () => {
  const rows = await database.query(
    `select rouse.cron_next(null, now()) is null as spec, rouse.cron_next('@daily', null) is null as after,
       rouse.cron_next('@daily', now(), null) is null as timezone, (select count(*) from rouse.cron_upcoming(null)) as upcoming`,
  );
  assert.deepEqual(rows, [{ spec: true, after: true, timezone: true, upcoming: "0" }]);
});
