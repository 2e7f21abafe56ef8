import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { rouseHere } from "./support.ts";

const database = testDatabase();
const limit = (...args: string[]) => rouseHere(["limit", ...args], { DATABASE_URL: database.url });
const stored = () =>
  database.query("select kind, name, concurrency, rate, period::text, burst, holds from rouse.job_limit order by 1, 2");

test("B16, B17: limits are set, replaced, listed and dropped", async () => {
  assert.equal((await limit("set", "--task", "sync", "--concurrency", "20")).stdout, "task sync is limited\n");
  const eachKey = await limit("set", "--task", "sync", "--each-key", "--concurrency", "2", "--holds");
  assert.equal(eachKey.stdout, "each key of task sync is limited\n");
  await limit("set", "--queue", "mail", "--concurrency", "7");
  await limit("set", "--queue", "mail", "--rate", "100", "--period", "1m", "--burst", "10");
  await limit("set", "--key", "customer 17", "--rate", "5");
  const plain = { concurrency: null, rate: null, period: null, burst: 1, holds: false };
  assert.deepEqual(await stored(), [
    { ...plain, kind: "key", name: "customer 17", rate: 5, period: "00:00:01" },
    { ...plain, kind: "queue", name: "mail", rate: 100, period: "00:01:00", burst: 10 },
    { ...plain, kind: "task", name: "sync", concurrency: 20 },
    { ...plain, kind: "task_keys", name: "sync", concurrency: 2, holds: true },
  ]);

  const all = await limit("list");
  assert.match(all.stdout, /^ kind +\| name +\| status \| concurrency \| rate +\| burst/);
  assert.match(all.stdout, /^ queue +\| mail +\| open +\| +\| 100 in 60 s +\| +10/m);
  assert.doesNotMatch((await limit("list", "mail")).stdout, /sync/);
  const none = await limit("list", "fax");
  assert.deepEqual([none.code, none.stdout, none.stderr], [1, "", "there are no such limits\n"]);

  assert.equal((await limit("drop", "--queue", "mail")).stdout, "queue mail has no limit any more\n");
  const again = await limit("drop", "--queue", "mail");
  assert.deepEqual([again.code, again.stderr], [1, "queue mail had no limit\n"]);
  assert.equal((await limit("drop", "--task", "sync", "--each-key")).code, 0);
  assert.deepEqual(
    (await stored()).map(({ name }) => name),
    ["customer 17", "sync"],
  );
});

test("bad limits are refused by name, and nothing is set", async () => {
  const before = await stored();
  const typed: [args: string[], message: RegExp][] = [
    [["sett"], /limit cannot sett; did you mean "?set"?\?/],
    [["set", "--concurrency", "1"], /limit set needs one of --queue, --task and --key/],
    [["drop", "--task", "t", "--key", "k"], /limit drop needs one of --queue, --task and --key/],
    [["set", "mail", "--rate", "1"], /limit set takes no "mail"/],
    [["set", "--task", "t"], /limit set needs --concurrency or --rate/],
    [["set", "--task", "t", "--concurrency", "0"], /--concurrency is "0", not a whole number from 1/],
    [["set", "--task", "t", "--rate", "-5"], /--rate is "-5", not a whole number/],
    [["set", "--task", "t", "--rate", "5", "--burst", "0"], /--burst is "0", not a whole number/],
  ];
  const refused: [args: string[], message: RegExp][] = [
    [["set", "--task", "t", "--rate", "5", "--period", "-1s"], /--period "-1s" is not a duration/],
    [["set", "--task", "t", "--rate", "5", "--period", "0s"], /period 00:00:00 is not a positive, finite time/],
    [["set", "--task", "t", "--concurrency", "5", "--period", "1s"], /period and burst need a rate/],
    [["set", "--key", "k", "--each-key", "--concurrency", "5"], /each_key goes with a task or a queue/],
    [["set", "--key", "x".repeat(1_000_000), "--concurrency", "5"], /key 'x+… \(1000000 characters\)'/],
    [["set", "--queue", "", "--concurrency", "5"], /queue '' has 0 characters/],
  ];
  for (const [cases, code] of [
    [typed, 2],
    [refused, 1],
  ] as const) {
    for (const [args, message] of cases) {
      const outcome = await limit(...args);
      assert.match(outcome.stderr, message);
      assert.deepEqual([outcome.code, outcome.stdout], [code, ""], args.join(" ").slice(0, 100));
    }
  }
  assert.deepEqual(await stored(), before);
});
