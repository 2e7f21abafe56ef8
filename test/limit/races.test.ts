import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { type Claimed, declare, register, value } from "../support/engine.ts";
import { clearLimits, createLedger, exchangeWithLedger, mostAtOnce } from "./support.ts";

const db = testDatabase();
/** More of them: TRIES=3000 npm test -- limit/races */
const TRIES = Number(process.env.TRIES ?? 300);

beforeEach(async () => {
  await clearLimits(db);
  await createLedger(db);
  await db.query("truncate ledger");
});

test("B24: a finish and a claim of one key at the same instant forget no job and deadlock never", async () => {
  const [finisher, claimer] = [await db.connect(), await db.connect()];
  const [first, second] = [await register(finisher), await register(claimer)];
  const exchange = (session: typeof finisher, worker: number, done: Claimed[]) =>
    exchangeWithLedger(session, worker, 1, done);
  for (let n = 0; n < TRIES; n++) {
    await db.query("select rouse.enqueue('t', concurrency_key => 'k') from generate_series(1, 2)");
    const held = await exchange(finisher, first, []);
    assert.equal(held.length, 1);
    // One finishes, the other looks for work and comes a little earlier or later each time.
    const pause = db.query("select pg_sleep($1)", [((n % 10) - 5) / 5000]);
    const looked = n % 10 < 5 ? exchange(claimer, second, []) : pause.then(() => exchange(claimer, second, []));
    const finished = n % 10 < 5 ? pause.then(() => exchange(finisher, first, held)) : exchange(finisher, first, held);
    const next = [...(await looked), ...(await finished)];
    // Where each had the lane when the other wanted it, the arrival is still there, and whoever looks finds it.
    if (next.length === 0) {
      assert.equal(await value(db.pool, "select count(*) > 0 from rouse.arrival"), true, `try ${n}: forgotten`);
      next.push(...(await exchange(claimer, second, [])));
    }
    assert.equal(next.length, 1, `try ${n}`);
    assert.deepEqual(await exchange(claimer, second, next), []);
  }
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.job"), 0);
  assert.equal(await mostAtOnce(db), 1);
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
