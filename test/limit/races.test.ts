import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { type Claimed, declare, register, value } from "../support/engine.ts";
import { race } from "./race.ts";
import { clearLimits, createLedger, exchangeWithLedger, mostAtOnce } from "./support.ts";

const db = testDatabase();

beforeEach(async () => {
  await clearLimits(db);
  await createLedger(db);
  await db.query("truncate ledger");
});

// Ten thousand of them, in a minute or two: npm run test:keys
test("B24: a finish, a claim and an enqueue of one key at the same instant forget no job, start no two and deadlock never", async () => {
  await race(db.url, 1_000);
});

test("B16: ten workers keep to the limits of keys, of a task and of a queue together, and finish every job", async () => {
  await declare(db.pool, { name: "t", limit: { concurrency: 5 }, key_limit: { concurrency: 2 } }, { name: "u" });
  await db.query("select rouse.set_limit(queue => 'q', concurrency => 6)");
  await db.query(`
    insert into rouse.job (task, queue, concurrency_key)
    select case when n % 3 = 0 then 'u' else 't' end, 'q', 'k' || n % 7 from generate_series(1, 600) n`);
  const work = async () => {
    const session = await db.connect();
    const worker = await register(session);
    let done: Claimed[] = [];
    for (const giveUp = Date.now() + 60_000; Date.now() < giveUp; ) {
      done = await exchangeWithLedger(session, worker, 3, done);
      if (done.length === 0 && (await value(session, "select not exists (select from rouse.job)"))) return;
    }
  };
  await Promise.all(Array.from({ length: 10 }, work));
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.archive where state = 'succeeded'"), 600);
  assert.ok((await mostAtOnce(db)) <= 6, "the queue");
  assert.ok((await mostAtOnce(db, "task = 't'")) <= 5, "the task");
  for (let n = 0; n < 7; n++) {
    assert.ok((await mostAtOnce(db, `task = 't' and key = 'k${n}'`)) <= 2, `key k${n} of t`);
  }
});
