import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { ConfigError } from "../../src/index.ts";
import { toInterval, toMilliseconds } from "../../src/tasks/duration.ts";
import { testDatabase } from "../support/database.ts";

const db = testDatabase({ template: "empty" });

test("durations: numbers are milliseconds, strings count their units", () => {
  const cases: [duration: number | string, ms: number][] = [
    [0, 0],
    [1.5, 1.5],
    ["90s", 90_000],
    ["1h30m", 5_400_000],
    ["2 days", 172_800_000],
    ["1 week, 1 ms", 604_800_001],
    ["0.5 hours", 1_800_000],
    ["10 MINUTES", 600_000],
    ["  5 secs", 5_000],
  ];
  for (const [duration, ms] of cases) assert.equal(toMilliseconds(duration), ms, String(duration));
});

test("durations: what is none is refused, named", () => {
  const bad = [
    "",
    "5",
    "s",
    "5 parsecs",
    "1 month",
    "1 year",
    "-5s",
    "5s later",
    "1h 30",
    "constructor",
    "1 __proto__",
  ];
  for (const text of bad) {
    assert.throws(
      () => toMilliseconds(text, "delay"),
      (error) =>
        error instanceof ConfigError && error.message.startsWith(`delay ${JSON.stringify(text)} is not a duration`),
      text,
    );
  }
  for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e13, null, undefined, {}, 5n]) {
    assert.throws(() => toMilliseconds(value as number), ConfigError, String(value));
  }
});

test("durations: PostgreSQL reads the same from the text itself and from what is sent", async () => {
  const unit = fc.constantFrom(
    ...["ms", "msec", "millisecond", "milliseconds", "s", "sec", "secs", "second", "seconds", "m", "min", "mins"],
    ...["minute", "minutes", "h", "hr", "hrs", "hour", "hours", "d", "day", "days", "w", "week", "weeks"],
  );
  const amount = fc.oneof(
    fc.nat(2_000),
    fc.nat(2_000_000).map((n) => n / 1_000),
  );
  const part = fc.tuple(amount, fc.constantFrom("", " "), unit).map((parts) => parts.join(""));
  const text = fc.array(part, { minLength: 1, maxLength: 1 }).map((parts) => parts.join(" "));
  const samples = fc.sample(fc.oneof(text, fc.constantFrom("1h30m", "1d 2h 3m 4s 5ms", "2 days 12 hours")), 500);
  const rows = await db.query<{ text: string; own: number; sent: number }>(
    `select t.text, extract(epoch from t.text::interval)::float as own, extract(epoch from t.sent::interval)::float as sent
     from unnest($1::text[], $2::text[]) as t (text, sent)`,
    [samples, samples.map((sample) => toInterval(sample))],
  );
  for (const row of rows) {
    // PostgreSQL counts microseconds, and a fraction of a day or week in whole ones.
    const seconds = toMilliseconds(row.text) / 1_000;
    assert.ok(Math.abs(row.own - seconds) < 1e-5, `${row.text}: ${row.own} s there, ${seconds} s here`);
    assert.ok(Math.abs(row.sent - seconds) < 1e-5, `${row.text}: ${row.sent} s sent, ${seconds} s here`);
  }
  assert.equal(rows.length, 500);
});
