import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { rows } from "../support/engine.ts";
import { Latch, Tally } from "../support/latch.ts";
import { blindBeats, useRouse } from "../worker/support.ts";
import { clearLimits } from "./support.ts";

const db = testDatabase({ prepare: () => blindBeats(db) });
const rouseWith = useRouse(db);

beforeEach(() => clearLimits(db));

test("B16: under backlog each freed slot of a limit is used at once by whoever has room, and never one too many", async () => {
  const [slots, jobs] = [10, 300];
  const running: Latch[] = [];
  const started = new Tally<number>();
  let over = false;
  const task = defineTask("call", {
    limit: { concurrency: slots },
    async run() {
      if (over) return;
      const end = new Latch();
      started.add(running.push(end));
      await end.opened;
    },
  });
  const end = (most: number) => running.splice(0, most).map((job) => job.open()).length;
  // Neither has room for all: both end jobs and look for jobs, often at the same instant.
  const workers = [rouseWith([task]), rouseWith([task])];
  await Promise.all(workers.map((rouse) => rouse.startWorker({ concurrency: 7 })));
  await workers[0]!.enqueueMany(Array.from({ length: jobs }, () => ({ task })));
  try {
    for (let due = slots; due <= jobs; due += end(1 + Math.floor(Math.random() * slots))) await started.reach(due);
  } finally {
    over = true;
    end(slots + 1);
  }
  assert.equal(Math.max(...started.all), slots);
});

test("B17: workers start jobs at 95 % of a rate at least, and never more in any time than it allows", async () => {
  // The burst is a second's: a machine that stands still for less makes no start impossible.
  const [rate, burst, jobs] = [50, 50, 250];
  const started = new Tally<unknown>();
  const task = defineTask("call", { limit: { rate, period: "1s", burst }, run: () => started.add(1) });
  const workers = [rouseWith([task]), rouseWith([task])];
  await Promise.all(workers.map((rouse) => rouse.startWorker()));
  await workers[0]!.enqueueMany(Array.from({ length: jobs }, () => ({ task })));
  await started.reach(jobs);
  await Promise.all(workers.map((rouse) => rouse.close()));

  // Each start with each one before it. Used up to the best start of the second half: of a rate that is not kept there is
  // none, and of one that is kept any single start may have waited for a processor.
  const [ledger] = await rows<{ above: boolean; used: number }>(
    db.pool,
    `select
       bool_or(n > $2 + $1 * seconds + 1e-6) as above,
       max((n - $2) / ($1 * seconds)) filter (where is_first and n > $3 / 2)::float as used
     from (
       select row_number() over (partition by a.id order by b.started_at, b.id) as n,
              extract(epoch from b.started_at - a.started_at) as seconds,
              a.started_at = min(a.started_at) over () as is_first
       from rouse.archive a join rouse.archive b on (b.started_at, b.id) >= (a.started_at, a.id)
     ) as windows`,
    [rate, burst, jobs],
  );
  assert.equal(ledger?.above, false);
  assert.ok(ledger.used >= 0.95, `${(ledger.used * 100).toFixed(1)} % of the rate`);
});
