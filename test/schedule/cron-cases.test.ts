import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { nextRun } from "./support/evaluator.ts";
import { nextTime, nextTimes } from "./support/next-time.ts";

const database = testDatabase();

const cases = readFileSync(new URL("CRON-CASES.tsv", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .slice(1)
  .map((line) => {
    const [spec, timezone, after, expected, why] = line.split("\t") as [string, string, string, string, string];
    return { spec, timezone, after, expected, why };
  });

test("D1: the list of cases is there", () => {
  assert.equal(cases.length, 30);
});

for (const { spec, timezone, after, expected, why } of cases) {
  test(`D1: ${spec} in ${timezone} after ${after}: ${expected} (${why})`, async () => {
    if (expected === "error") {
      await assert.rejects(nextTime(database, spec, after, timezone), { code: "22023" });
      return;
    }
    assert.equal(await nextTime(database, spec, after, timezone), expected);
    const second = nextRun(spec, Date.parse(after), timezone);
    assert.equal(second, Date.parse(expected), "the evaluator of the tests");
  });
}

/** Local dates and times of a year, by the clocks of JavaScript. */
async function localTimes(spec: string, timezone: string, count: number): Promise<string[]> {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone: timezone, dateStyle: "short", timeStyle: "medium" });
  const times = await nextTimes(database, count, spec, "2026-01-02T00:00:00Z", timezone);
  return times.map((time) => format.format(Date.parse(time)));
}

for (const timezone of ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"]) {
  for (const [spec, clock] of [
    ["27 14 * * *", "14:27:00"],
    ["2 0 * * *", "00:02:00"],
    ["30 27 14 * * *", "14:27:30"],
  ] as const) {
    test(`A4: ${spec} keeps its local time in ${timezone}, each day of a year`, async () => {
      const times = await localTimes(spec, timezone, 365);
      assert.equal(new Set(times.map((time) => time.slice(0, 10))).size, 365);
      assert.deepEqual([...new Set(times.map((time) => time.slice(11)))], [clock]);
    });
  }

  test(`A4: monthly on day 1 at 08:13 in ${timezone}`, async () => {
    const months = ["02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"];
    const times = await localTimes("13 8 1 * *", timezone, 11);
    assert.deepEqual(
      times,
      months.map((month) => `2026-${month}-01 08:13:00`),
    );
  });
}
