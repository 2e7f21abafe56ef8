import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { throughProxy, useRouse } from "./support.ts";

const db = testDatabase();
const rouse = useRouse(db);

test("B22: drained() waits for what the worker itself gave back, though no notification tells of it", async () => {
  const quick = defineTask("quick", { run: async () => {} });
  const transacted = defineTask("transacted", { run: (_payload, ctx) => ctx.transaction(() => sleep(60)) });
  await throughProxy(db, async (proxy, url) => {
    const client = rouse([quick, transacted], { connectionString: db.url, directConnectionString: url });
    const worker = await client.startWorker({ concurrency: 20 });
    // Quick handlers are claimed ahead for; what then waits behind slow ones goes back after half a second.
    await client.enqueueMany(Array.from({ length: 300 }, () => ({ task: quick })));
    await worker.drained();
    proxy.silence("rouse listener");
    await client.enqueueMany(Array.from({ length: 300 }, (_, n) => ({ task: n % 2 === 0 ? quick : transacted })));
    await worker.drained();
    assert.deepEqual(await db.query("select id from rouse.job"), []);
  });
});
