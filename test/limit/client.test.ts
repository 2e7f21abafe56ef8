import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { z } from "zod";
import { ConfigError, defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { rows } from "../support/engine.ts";
import { Tally } from "../support/latch.ts";
import { useRouse } from "../worker/support.ts";
import { clearLimits } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

beforeEach(() => clearLimits(db));

test("B16: a worker keeps to the key of a task, and starts the next job of a key at once", async () => {
  const started = new Tally<number>();
  let running = 0;
  const task = defineTask("sync", {
    payload: z.object({ customer: z.number(), n: z.number() }),
    concurrencyKey: "$.customer",
    async run({ n }) {
      running += 1;
      started.add(running);
      if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      running -= 1;
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker({ concurrency: 10 });
  for (let n = 0; n < 20; n++) await rouse.enqueue(task, { customer: 1, n });
  // A beat comes every 2 s at most: twenty of them would take longer than the tally waits.
  assert.deepEqual(new Set(await started.reach(20)), new Set([1]));
});

test("B16: a handler's transaction frees its key at its commit", async () => {
  const started = new Tally<unknown>();
  const task = defineTask("writer", {
    concurrencyKey: "one",
    async run(_payload, ctx) {
      started.add(1);
      await ctx.transaction(async () => {});
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker({ concurrency: 2 });
  for (let n = 0; n < 20; n++) await rouse.enqueue(task);
  await started.reach(20);
});

test("limits are set and dropped from TypeScript, and bad ones refused by name", async () => {
  const rouse = rouseWith([]);
  await rouse.setLimit({ task: "t", eachKey: true }, { concurrency: 2, rate: 10, period: "1m", burst: 3, holds: true });
  assert.deepEqual(
    await rows(db.pool, "select kind, name, concurrency, rate, period::text, burst, holds from rouse.job_limit"),
    [{ kind: "task_keys", name: "t", concurrency: 2, rate: 10, period: "00:01:00", burst: 3, holds: true }],
  );
  assert.equal(await rouse.dropLimit({ task: "t", eachKey: true }), true);
  assert.equal(await rouse.dropLimit({ task: "t", eachKey: true }), false);

  const run = () => {};
  const cases: [bad: () => unknown, message: RegExp][] = [
    [
      () => defineTask("t", { limit: { concurrency: 0 }, run }),
      /^the limit of task "t": concurrency 0 is not a whole number from 1 to 1000000$/,
    ],
    [() => defineTask("t", { limit: { rate: -1 }, run }), /rate -1 is not/],
    [() => defineTask("t", { limit: { rate: 1, period: "-1s" }, run }), /period "-1s" is not a duration/],
    [() => defineTask("t", { limit: { rate: 1, period: 0 }, run }), /period is 0/],
    [() => defineTask("t", { limit: {}, run }), /^the limit of task "t" needs concurrency or rate/],
    [() => defineTask("t", { limit: { concurrency: 1, burst: 2 }, run }), /period and burst need a rate/],
    [() => defineTask("t", { limit: { holds: true } as never, run }), /unknown option "holds"/],
    [() => defineTask("t", { keyLimit: { rate: 0 }, run }), /^the keyLimit of task "t": rate 0/],
    [() => defineTask("t", { concurrencyKey: "", run }), /concurrencyKey "" is not a key/],
    [
      () => defineTask("t", { concurrencyKey: "x".repeat(1_000_000), run }),
      /concurrencyKey "x+… \(1000002 characters\) is not a key/,
    ],
    [() => defineTask("t", { concurrencyKey: "$.", run }), /is not a key/],
  ];
  for (const [bad, message] of cases) {
    assert.throws(bad, (error) => error instanceof ConfigError && message.test(error.message), String(message));
  }
  await assert.rejects(
    rouse.setLimit({}, { concurrency: 1 }),
    /^ConfigError: setLimit needs one of queue, task and key$/,
  );
  await assert.rejects(rouse.setLimit({ task: "t", key: "k" }, { concurrency: 1 }), /needs one of/);
});
