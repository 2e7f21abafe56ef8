import assert from "node:assert/strict";
import test from "node:test";
import type { Worker as Thread } from "node:worker_threads";
import { Heartbeat } from "../../src/worker/heartbeat.ts";
import { testDatabase } from "../support/database.ts";
import { register } from "../support/engine.ts";
import { TestLog } from "../support/log.ts";
import { until } from "../support/until.ts";

const db = testDatabase();

test("B7: while the heartbeat's thread has failed the worker counts as one that may be taken for dead", async () => {
  const threads: Thread[] = [];
  const onThread = (thread: Thread) => threads.push(thread);
  process.on("worker", onThread);
  const log = new TestLog();
  const heartbeat = new Heartbeat({
    addresses: [{ connectionString: db.url }],
    schema: "rouse",
    worker: await register(db.pool),
    log,
    onBeat: () => {},
    onUnknown: () => assert.fail("it is known"),
  });
  try {
    await heartbeat.start();
    assert.equal(heartbeat.lost, false);
    await threads[0]!.terminate();
    await log.line(/^the heartbeat thread failed/);
    assert.equal(heartbeat.lost, true);
    await until(() => !heartbeat.lost, { message: "another thread beats" });
    assert.equal(threads.length, 2);
  } finally {
    process.off("worker", onThread);
    await heartbeat.stop();
  }
});
