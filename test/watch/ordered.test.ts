import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { claim, register } from "../support/engine.ts";
import { setUp, watch } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;

setUp(database, "create table orders (id integer primary key, customer text, total integer not null default 0)");

test("the changes of a row are handled one at a time and in order, those of other rows meanwhile", async () => {
  await query("insert into orders (id) values (1), (2)");
  await watch(pool, "orders", { task: "index", events: ["update"], payload: "row", concurrency_key: "key" });
  for (const total of [1, 2, 3]) await query("update orders set total = $1", [total]);
  const worker = await register(pool);
  for (const total of [1, 2, 3]) {
    const jobs = await claim(pool, worker, { most: 10 });
    assert.deepEqual(
      jobs.map(({ payload }) => payload).sort(),
      [1, 2].map((id) => ({ id, customer: null, total })),
    );
    for (const { id, lease } of jobs) await query("select rouse.complete_v1($1, $2)", [id, lease]);
  }
});

test("the key may be SQL over the row; null is none, for a batch and for a job that coalesces as well", async () => {
  const kinds = [{}, { batch: 2 }, { coalesce_key: "key" }];
  for (const [kind, options] of kinds.entries()) {
    await query("truncate orders, rouse.job");
    await watch(pool, "orders", {
      ...{
        name: "w",
        task: "index",
        events: ["insert"],
        payload: "new.id",
        concurrency_key: "new.customer",
        ...options,
      },
    });
    await query("insert into orders values (1, 'ada'), (2, 'ada'), (3, null), (4, '$.bob')");
    assert.deepEqual(
      await query("select payload, concurrency_key as key from rouse.job order by concurrency_key, id"),
      kind === 1
        ? [
            { payload: [4], key: "$.bob" },
            { payload: [1, 2], key: "ada" },
            { payload: [3], key: null },
          ]
        : [
            { payload: 4, key: "$.bob" },
            { payload: 1, key: "ada" },
            { payload: 2, key: "ada" },
            { payload: 3, key: null },
          ],
    );
  }
  await query("select rouse.unwatch('w')");
});

test("an empty key is an error of the watch, and the write goes on", async () => {
  await watch(pool, "orders", { name: "w", task: "index", events: ["insert"], concurrency_key: "new.customer" });
  await query("truncate orders, rouse.job");
  await query("insert into orders values (1, '')");
  assert.deepEqual(await query("select from rouse.job"), []);
  const [{ error }] = (await query("select error from rouse.watches where watch = 'w'")) as [{ error: string }];
  assert.match(error, /concurrency_key/);
  await query("select rouse.unwatch('w')");
});
