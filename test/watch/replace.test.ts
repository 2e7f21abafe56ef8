import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { setUp, takeJobs, takePayloads, watch, watchRow } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;

setUp(
  database,
  `create table orders (id integer primary key, total numeric);
   create table log (line text);
   insert into rouse.task (name) values ('t')`,
);

afterEach(async () => {
  await query("select rouse.unwatch(name) from rouse.watch");
  await query("truncate orders, log");
  await takeJobs(database);
});

test("the same name replaces a watch in one step: other sessions see the old one or the new one", async () => {
  const client = await database.connect();
  await watch(pool, "orders", { task: "t", name: "w", payload: '"old"' });
  await client.query("begin");
  await watch(client, "orders", { task: "t", name: "w", payload: '"new"', condition: "new.id > 0" });
  await query("insert into orders (id) values (1)");
  await client.query("commit");
  await query("insert into orders (id) values (2)");
  assert.deepEqual(await takePayloads(database), ["old", "new"]);

  // Fewer events, and then other ones, on another table.
  await watch(pool, "orders", { task: "t", name: "w", events: ["delete"], payload: '"deleted"' });
  await query("insert into orders (id) values (3); delete from orders where id = 3");
  assert.deepEqual(await takePayloads(database), ["deleted"]);
  await watch(pool, "log", { task: "t", name: "w", events: ["insert", "truncate"], payload: '"line"' });
  await query("delete from orders; insert into log values ('x')");
  assert.deepEqual(await takePayloads(database), ["line"]);
  assert.equal((await query("select from rouse.watches")).length, 1);
  assert.deepEqual((await watchRow(pool, "w"))?.status, "active");
  assert.deepEqual(await query("select count(*)::integer as functions from pg_proc where proname ~ '^watch_[0-9]+$'"), [
    { functions: 1 },
  ]);
});

test("where nothing changed nothing is locked or written, and a change of the function alone locks no table", async () => {
  const options = { task: "t", condition: "new.total > 0", events: ["update", "insert"] };
  await watch(pool, "orders", options);
  const before = await query("select xmin::text, changed_at from rouse.watch");
  const writer = await database.connect();
  await writer.query("begin; insert into orders (id) values (1)");
  await watch(pool, "orders", { ...options, events: ["INSERT", "update", "insert"] });
  assert.deepEqual(await query("select xmin::text, changed_at from rouse.watch"), before);
  await watch(pool, "orders", { ...options, condition: "new.total > 1", lock_wait: "0" });
  assert.notDeepEqual(await query("select xmin::text, changed_at from rouse.watch"), before);
  await writer.query("rollback");
});

test("the lock for the triggers is waited for in short steps, for as long as it may take, with a clear error", async () => {
  const writer = await database.connect();
  await writer.query("begin; insert into orders (id) values (1)");
  const [{ pid }] = (await writer.query("select pg_backend_pid() as pid")).rows;
  await assert.rejects(watch(pool, "orders", { task: "t", lock_wait: "300 ms" }), (error: pg.DatabaseError) => {
    assert.equal(error.code, "55P03");
    assert.match(error.message, /^public\.orders is in use: no lock on it could be had within 00:00:00\.3$/);
    assert.equal(error.detail, `Locks on it are held by process ${pid}.`);
    assert.match(error.hint ?? "", /lock_wait/);
    return true;
  });
  assert.deepEqual(await query("select from rouse.watch"), []);
  // Another writer gets in between two tries, which one long wait would have kept out.
  const watching = watch(pool, "orders", { task: "t", lock_wait: "20 s" });
  const other = await database.connect();
  await other.query("set statement_timeout = '5 s'; insert into orders (id) values (2)");
  await writer.query("commit");
  await watching;
  await query("insert into orders (id) values (3)");
  assert.equal((await takeJobs(database)).length, 1);

  await writer.query("begin; select from orders");
  await assert.rejects(query("select rouse.unwatch('public.orders.t', '100 ms')"), { code: "55P03" });
  assert.equal((await watchRow(pool, "public.orders.t"))?.status, "active");
  await writer.query("commit");
});

test("many sessions that watch the same thing at once make it once", async () => {
  const clients = await Promise.all(Array.from({ length: 8 }, () => database.connect()));
  const names = await Promise.all(clients.map((client) => watch(client, "orders", { task: "t", payload: "key" })));
  assert.deepEqual([...new Set(names)], ["public.orders.t"]);
  await query("insert into orders (id) values (1)");
  assert.deepEqual(await takePayloads(database), [{ id: 1 }]);
});
