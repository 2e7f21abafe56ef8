import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { defineTask } from "../../src/index.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { useRouse } from "./support.ts";

const bare = testDatabase();
const furnished = testDatabase();
const rouseWith = useRouse(bare);

/** Of one of two workers the transactions in 20 quiet seconds, and of both the connections that claims have kept. */
async function counted(db: TestDatabase): Promise<{ transactions: number; kept: number }> {
  const proxy = await TcpProxy.start(db.url);
  try {
    const task = defineTask("quiet", { run: () => {} });
    const rouse = rouseWith([task], { connectionString: proxy.through(db.url) });
    const neighbour = rouseWith([task], { connectionString: db.url });
    const [worker] = await Promise.all([rouse.startWorker(), neighbour.startWorker()]);
    await worker.drained();
    await sleep(5_000);
    const before = proxy.transactions;
    await sleep(20_000);
    const transactions = proxy.transactions - before;
    const connections = await db.query(
      `select from pg_stat_activity
       where datname = current_database() and application_name = 'rouse' and backend_start < now() - interval '20 seconds'`,
    );
    await rouse.close();
    return { transactions, kept: connections.length };
  } finally {
    await proxy.stop();
  }
}

test("A21: in a quiet installation a worker makes at most 15 transactions a minute, and stays connected for the next job", async () => {
  // Things that are there and must not keep anyone busy.
  await furnished.query("select rouse.enqueue('quiet', delay => '1 day')");
  await furnished.query("select rouse.enqueue('nobody_knows')");
  await furnished.query("select rouse.pause('paused'), rouse.enqueue('quiet', queue => 'paused')");
  for (const { transactions, kept } of await Promise.all([counted(bare), counted(furnished)])) {
    assert.ok(transactions >= 4, `${transactions} transactions: it does not even beat`);
    assert.ok(transactions <= 5, `${transactions} transactions in 20 s`);
    assert.equal(kept, 2);
  }
});
