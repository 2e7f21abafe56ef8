import assert from "node:assert/strict";
import test from "node:test";
import pg from "pg";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

/** A pool that counts the calls which go on at a bookmark, and the looks beside them. */
function watchedPool(): { pool: pg.Pool; short: () => number; looks: () => number } {
  let short = 0;
  let looks = 0;
  const pool = new pg.Pool({ connectionString: db.url });
  pool.on("connect", (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    const counted = (...args: unknown[]) => {
      const { text, values } = args[0] as Partial<pg.QueryConfig>;
      if (text?.includes("exchange_v1") && values?.at(-1) === false) short += 1;
      if (text?.includes("look_v1")) looks += 1;
      return query(...args);
    };
    Object.assign(client, { query: counted });
  });
  return { pool, short: () => short, looks: () => looks };
}

test("B23: what becomes ready behind the bookmark of a worker under constant load starts soon", async () => {
  const elsewhere = await db.connect();
  await elsewhere.query("begin isolation level repeatable read; select from rouse.job");
  await db.query(
    "insert into rouse.job (task, run_at) select 'load', now() - interval '1 minute' from generate_series(1, 20000)",
  );
  await db.query("delete from rouse.job");

  let busy = true;
  const load = defineTask("load", {
    async run() {
      if (busy) await db.query("insert into rouse.job (task) values ('load')");
    },
  });
  const started = new Tally<number>();
  const seen = defineTask("seen", { run: (_payload, ctx) => started.add(ctx.job.id) });
  const { pool, short, looks } = watchedPool();
  const rouse = rouseWith([load, seen], { pool });
  try {
    const worker = await rouse.startWorker({ concurrency: 10 });
    await db.query("insert into rouse.job (task) select 'load' from generate_series(1, 50)");
    await until(() => short() > 20, { message: "calls go on at a bookmark" });

    const waiting = await rouse.enqueue(seen, undefined, { delay: "1 hour" });
    const behind: [what: string, sql: string][] = [
      ["urgent", "select rouse.enqueue('seen', priority => 50)"],
      ["of a queue that was empty", "select rouse.enqueue('seen', queue => 'other')"],
      ["committed late", "insert into rouse.job (task, run_at) values ('seen', now() - interval '10 s') returning id"],
      ["rescheduled", `select rouse.reschedule(${waiting.id}, run_at => now() - interval '10 s')`],
      [
        "due late",
        "insert into rouse.job (task, state, run_at) values ('seen', 'scheduled', now() - interval '10 s') returning id",
      ],
    ];
    for (const [n, [what, sql]] of behind.entries()) {
      const before = short();
      const from = performance.now();
      await db.query(sql);
      await started.reach(n + 1);
      const ms = performance.now() - from;
      // 250 ms is the promise, on a machine that does nothing else.
      assert.ok(ms < 1_500, `what is ${what} starts after ${ms} ms`);
      await until(() => short() > before, { message: "calls go on at a bookmark again" });
    }
    assert.ok(looks() > 0, "looks at the whole are made beside the calls");
    busy = false;
    await worker.drained();
    assert.deepEqual(await db.query("select from rouse.job"), []);
  } finally {
    await rouse.close();
    await pool.end();
  }
});
