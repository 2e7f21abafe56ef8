import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { nextTime } from "./support/next-time.ts";

const database = testDatabase();

/** What is refused, and how the message begins. */
const refused: readonly (readonly [spec: string, message: string])[] = [
  ["60 * * * *", "minute: 60 is not within 0 to 59"],
  ["60 * * * * *", "second: 60 is not within 0 to 59"],
  ["0 24 * * *", "hour: 24 is not within 0 to 23"],
  ["0 0 0 * *", "day of month: 0 is not within 1 to 31"],
  ["0 0 32 * *", "day of month: 32 is not within 1 to 31"],
  ["0 0 1 13 *", "month: 13 is not within 1 to 12"],
  ["0 0 1 0 *", "month: 0 is not within 1 to 12"],
  ["0 0 * * 8", "day of week: 8 is not within 0 to 7"],
  ["99999999999999999999 * * * *", "minute: 99999999999999999999 is not within"],
  ["*/0 * * * *", 'minute: the step of "*/0" is 0'],
  ["1-5/00 * * * *", 'minute: the step of "1-5/00" is 0'],
  ["*/90 * * * *", 'minute: the step of "*/90" is longer than the field'],
  ["0 */25 * * *", 'hour: the step of "*/25" is longer than the field'],
  ["*/99999999999999999999 * * * *", 'minute: the step of "*/99999999999999999999" is longer'],
  ["*/ * * * *", 'minute: "*/" cannot be read'],
  ["*/-5 * * * *", 'minute: "*/-5" cannot be read'],
  ["*/5/5 * * * *", 'minute: "*/5/5" cannot be read'],
  ["30-10 * * * *", 'minute: the range "30-10" runs backwards'],
  ["0 22-6 * * *", 'hour: the range "22-6" runs backwards'],
  ["0 0 * nov-feb *", 'month: the range "nov-feb" runs backwards'],
  ["0 0 * * fri-mon", 'day of week: the range "fri-mon" runs backwards'],
  ["0 0 * * 6-0", 'day of week: the range "6-0" runs backwards'],
  ["1- * * * *", 'minute: "1-" cannot be read'],
  ["-1 * * * *", 'minute: "-1" cannot be read'],
  ["1-5-7 * * * *", 'minute: "1-5-7" cannot be read'],
  ["*-5 * * * *", 'minute: "*-5" cannot be read'],
  ["1,,2 * * * *", "minute: an element is empty"],
  [",1 * * * *", "minute: an element is empty"],
  ["1, * * * *", "minute: an element is empty"],
  ["5x * * * *", 'minute: "5x" cannot be read'],
  ["1.5 * * * *", 'minute: "1.5" cannot be read'],
  ["** * * * *", 'minute: "**" cannot be read'],
  ["*5 * * * *", 'minute: "*5" cannot be read'],
  ["a * * * *", 'minute: the name "a" is not known'],
  ["? * * * *", 'minute: "?" cannot be read'],
  ["0 ? * * *", 'hour: "?" cannot be read'],
  ["0 0 * ? *", 'month: "?" cannot be read'],
  ["0 0 ?/2 * *", 'day of month: "?/2" cannot be read'],
  ["0 0 * january *", 'month: the name "january" is not known'],
  ["0 0 * mon *", 'month: the name "mon" is not known'],
  ["0 0 * jan-sun *", 'month: the name "sun" is not known'],
  ["0 0 * * jan", 'day of week: the name "jan" is not known'],
  ["0 0 * * monday", 'day of week: the name "monday" is not known'],
  ["0 0 * * L", 'day of week: "l" is neither a last day (5L) nor a first to fifth one (1#2)'],
  ["0 0 * * 8L", "day of week: 8 is not within 0 to 7"],
  ["0 0 * * 1#0", 'day of week: "1#0" is neither'],
  ["0 0 * * 1#6", 'day of week: "1#6" is neither'],
  ["0 0 * * 1-5#2", 'day of week: "1-5#2" is neither'],
  ["0 0 * * 5L/2", 'day of week: "5l/2" is neither'],
  ["0 0 * * #2", 'day of week: "#2" is neither'],
  ["0 0 15W * *", 'day of month: "15w" cannot be read'],
  ["0 0 L-3 * *", 'day of month: the name "l" is not known'],
  ["0 0 1-L * *", 'day of month: the name "l" is not known'],
  ["0 0 30 2 *", 'day of month: no date matches "30" with month "2" and day of week "*"'],
  ["0 0 31 4,6,9,11 *", 'day of month: no date matches "31" with month "4,6,9,11"'],
  ["0 0 */31 2 5L", 'day of month: no date matches "*/31" with month "2" and day of week "5l"'],
  ["", 'spec: "" has 0 fields, not 5 or 6'],
  ["   ", 'spec: "" has 0 fields, not 5 or 6'],
  ["* * * *", 'spec: "* * * *" has 4 fields, not 5 or 6'],
  ["* * * * * * *", 'spec: "* * * * * * *" has 7 fields, not 5 or 6'],
  ["5 seconds", 'spec: "5 seconds" has 2 fields, not 5 or 6'],
  ["@reboot", 'macro: "@reboot" is not known'],
  ["@fortnightly", 'macro: "@fortnightly" is not known'],
  ["@daily x", 'macro: "@daily x" is not known'],
  ["@", 'macro: "@" is not known'],
  ["every", 'spec: "every" has 1 fields, not 5 or 6'],
  ["every 0 seconds", 'interval: "0 seconds" is shorter than 1 second'],
  ["every 999 ms", 'interval: "999 ms" is shorter than 1 second'],
  ["every -5 seconds", 'interval: "-5 seconds" cannot be read'],
  ["every 5", 'interval: "5" cannot be read'],
  ["every 5 fortnights", 'interval: the unit "fortnights" is not known'],
  ["every 1.5 days", "interval: 1.5 days is not a whole number"],
  ["every 5 seconds ago", 'interval: "5 seconds ago" cannot be read'],
  ["every 2000 years", 'interval: "2000 years" is longer than 1000 years'],
  ["every 1 day 999999999 years", "interval: "],
  ["every 99999999999 s", 'interval: "99999999999 s" cannot be read'],
  ["every p", 'interval: the unit "p" is not known'],
  ["every infinity", 'interval: the unit "infinity" is not known'],
  ["every 1:99", 'interval: "1:99" cannot be read'],
  ["at 2026-13-01 10:00", "time: month 13 is not within 1 to 12"],
  ["at 2026-02-30 10:00", "time: there is no day 30 in 2026-02"],
  ["at 2026-02-01 24:00", "time: hour 24 is not within 0 to 23"],
  ["at 2026-02-01 10:60", "time: minute 60 is not within 0 to 59"],
  ["at 2026-02-01 10:00:60", "time: second 60 is not within 0 to 59"],
  ["at 2026-02-01 10:00+16", "time: the offset +16 is not within"],
  ["at 0000-02-01 10:00", "time: there is no year 0000"],
  ["at tomorrow", 'time: "tomorrow" cannot be read'],
  ["at 2026-02-01 10:00 Europe/Berlin", 'time: "2026-02-01 10:00 europe/berlin" cannot be read'],
  ["2026-02-01T10", 'time: "2026-02-01t10" cannot be read'],
];

for (const [spec, message] of refused) {
  test(`D2: refused with its field: ${JSON.stringify(spec)}: ${message}`, async () => {
    await assert.rejects(nextTime(database, spec, "2026-01-01T00:00:00Z"), (error: Record<string, string>) => {
      assert.ok(error.message!.startsWith(message), error.message);
      assert.equal(error.code, "22023");
      assert.match(error.hint!, /^(A|An|Macros|Write) .*\.$/);
      return true;
    });
  });
}

test("D2: a long value is shortened in the message", async () => {
  await assert.rejects(
    nextTime(database, `${"1,".repeat(10_000)}x * * * *`, "2026-01-01T00:00:00Z"),
    (error: Error) => error.message.length < 200,
  );
});
