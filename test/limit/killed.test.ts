import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { rows } from "../support/engine.ts";
import { Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { Child } from "../worker/fork.ts";
import { beats, settle, useRouse } from "../worker/support.ts";
import { createLedger, mostAtOnce } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

let child: Child | undefined;
afterEach(() => child?.kill());

test("B16: kill -9 of the worker that has all slots of a key: they are free within 5 s, and never is one too many taken", async () => {
  await settle(db);
  await createLedger(db);
  await db.query("select rouse.set_limit(key => 'k', concurrency => 3)");
  child = await Child.start({ url: db.url, concurrency: 5 });
  await db.query("select rouse.enqueue('held', concurrency_key => 'k') from generate_series(1, 12)");
  const lost = [...(await child.began.reach(3))];
  await db.query("insert into ledger (job) select unnest($1::bigint[])", [lost]);

  const again = new Tally<unknown>();
  const task = defineTask("held", {
    async run(_payload, { job: { id, attempt } }) {
      if (attempt > 1) again.add(id);
      const [row] = await rows(db.pool, "insert into ledger (job) values ($1) returning ctid", [id]);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await db.query("update ledger set ended_at = clock_timestamp() where ctid = $1", [row!.ctid]);
    },
  });
  const { name } = await rouseWith([task]).startWorker({ concurrency: 10, name: "rescuer" });
  await child.kill();
  const then = await beats(db, name);
  await db.query("update ledger set ended_at = clock_timestamp()");
  // As in the test of B7: 5 s is the promise, three beats; a lease takes eleven at least.
  await again.reach(3);
  const took = (await beats(db, name)) - then;
  assert.ok(took <= 8, `${took} beats`);
  const ended = () => rows(db.pool, "select attempt from rouse.archive where state = 'succeeded' order by id");
  await until(async () => (await ended()).length === 12, { message: "all jobs of the key ran" });
  assert.deepEqual(
    (await ended()).map(({ attempt }) => attempt),
    [2, 2, 2, ...Array(9).fill(1)],
  );
  assert.equal(await mostAtOnce(db), 3);
});
