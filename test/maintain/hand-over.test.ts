import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { claim, claimOne, declare, enqueue, register, value } from "../support/engine.ts";

const db = testDatabase();

test("B7: the jobs of a dead worker run before the backlog that came after them, in an order of their own", async () => {
  await declare(db.pool, { name: "lost" }, { name: "backlog" });
  const dead = await register(db.pool, "dead");
  const other = await register(db.pool, "other");
  await db.query("insert into rouse.job (task) select 'lost' from generate_series(1, 20)");
  const lost = (await claim(db.pool, dead, { most: 20 })).map(({ id }) => id);
  await db.query("insert into rouse.job (task) select 'backlog' from generate_series(1, 100)");
  await value(db.pool, "select rouse.sweep(jsonb_build_array(jsonb_build_object('id', $1::int, 'beats', 0)))", [dead]);

  const again = await claim(db.pool, other, { most: 20 });
  assert.deepEqual(again.map(({ id }) => id).sort(), lost.sort());
  assert.ok(again.every(({ attempt }) => attempt === 2));
  // One of 20! orders is the old one.
  assert.notDeepEqual(
    again.map(({ id }) => id),
    again.map(({ id }) => id).toSorted((a, b) => Number(a) - Number(b)),
  );
});

test("B7: a lost job whose due time was chosen for an earlier clock is due now", async () => {
  const worker = await register(db.pool, "ahead of its time");
  const id = await enqueue(db.pool, "early", { delay: "1 hour" });
  const asOf = new Date(Date.now() + 7_200_000).toISOString();
  await claimOne(db.pool, worker, { tasks: ["early"], asOf });
  await value(db.pool, "select rouse.sweep(jsonb_build_array(jsonb_build_object('id', $1::int, 'beats', 0)))", [
    worker,
  ]);
  assert.equal(await value(db.pool, "select state from rouse.job where id = $1", [id]), "ready");
});
