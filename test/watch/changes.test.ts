import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { sleeper } from "../support/engine.ts";
import { setUp, takeJobs, takePayloads, unwatch, watch } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;

setUp(
  database,
  `create table orders (
       id integer primary key,
       status text not null default 'new',
       total numeric not null default 0,
       region text,
       details json
     );
     insert into rouse.task (name, queue, priority, delay, aliases)
     values ('order_changed', 'orders', 7, '0', '{order_touched}'), ('later', 'default', 0, '1 hour', '{}')`,
);

afterEach(async () => {
  await query("select rouse.unwatch(name) from rouse.watch");
  await query("truncate orders");
  await takeJobs(database);
});

const order = (id: number, values: Record<string, unknown> = {}) => ({
  id,
  status: "new",
  total: 0,
  region: null,
  details: null,
  ...values,
});

test("C1: insert, update and delete start the task with the row before and after", async () => {
  assert.equal(await watch(pool, "orders", { task: "order_changed" }), "public.orders.order_changed");
  await query("insert into orders (id, total) values (1, 10)");
  await query("update orders set status = 'paid', total = 12.50");
  await query("delete from orders");
  const jobs = await takeJobs(database);
  assert.deepEqual(
    jobs.map(({ task, queue, priority, state }) => ({ task, queue, priority, state })),
    Array(3).fill({ task: "order_changed", queue: "orders", priority: 7, state: "ready" }),
  );
  assert.deepEqual(
    jobs.map(({ payload }) => payload),
    [
      { event: "insert", old: null, new: order(1, { total: 10 }) },
      { event: "update", old: order(1, { total: 10 }), new: order(1, { status: "paid", total: 12.5 }) },
      { event: "delete", old: order(1, { status: "paid", total: 12.5 }), new: null },
    ],
  );
});

test("C1: a statement of several rows pairs each row with itself and keeps their order", async () => {
  await watch(pool, "orders", { task: "order_changed", events: ["update"] });
  await query("insert into orders (id, total) select n, n from generate_series(1, 30) as n");
  await query("update orders set total = total + 1000");
  const seen = (await takePayloads(database)) as { old: { id: number; total: number }; new: { total: number } }[];
  assert.deepEqual(
    seen.map(({ old, new: after }) => [old.id, old.total, after.total]),
    Array.from({ length: 30 }, (_, index) => [index + 1, index + 1, index + 1001]),
  );
});

test("C1: a rollback, of a transaction or to a savepoint, leaves no job", async () => {
  await watch(pool, "orders", { task: "order_changed", payload: "key" });
  const client = await database.connect();
  await client.query("begin; insert into orders (id) values (1); rollback");
  await client.query("begin; insert into orders (id) values (2); savepoint s");
  await client.query("insert into orders (id) values (3); rollback to s; commit");
  assert.deepEqual(await takePayloads(database), [{ id: 2 }]);
});

test("C1: several watches on a table, and several tasks for one", async () => {
  await watch(pool, "orders", { tasks: ["bill", "ship"], events: ["insert"], payload: "key" });
  await watch(pool, "orders", { task: "audit", tasks: ["bill"], name: "trail", payload: "row" });
  await query("insert into orders (id) values (1)");
  const jobs = await takeJobs(database);
  assert.deepEqual(
    jobs.map(({ task, payload }) => [task, payload]),
    [
      ["bill", { id: 1 }],
      ["ship", { id: 1 }],
      ["audit", order(1)],
      ["bill", order(1)],
    ],
  );
});

test("C1: a task's former name and its defaults are followed at the time of the write", async () => {
  await watch(pool, "orders", { tasks: ["order_touched", "order_changed", "later"], events: ["insert"] });
  await query("update rouse.task set priority = 9 where name = 'order_changed'");
  await query("insert into orders (id) values (1)");
  await query("update rouse.task set priority = 7 where name = 'order_changed'");
  assert.deepEqual(
    (await takeJobs(database)).map(({ task, priority, state }) => [task, priority, state]),
    [
      ["later", 0, "scheduled"],
      ["order_changed", 9, "ready"],
    ],
  );
});

test("C1: the job wakes a listener, once and only after the commit", async () => {
  await watch(pool, "orders", { task: "order_changed", events: ["insert"] });
  const listener = await database.connect();
  const heard: string[] = [];
  listener.on("notification", ({ payload }) => heard.push(payload ?? ""));
  await listener.query(`do $$ begin execute 'listen ' || rouse.channel(); end $$`);
  await sleeper(pool);
  const client = await database.connect();
  await client.query("begin; insert into orders (id) values (1), (2); insert into orders (id) values (3)");
  await listener.query("select");
  assert.deepEqual(heard, []);
  await client.query("commit");
  await listener.query("select");
  assert.deepEqual(heard, ['{"queue" : "orders"}']);
});

test("a payload can be the key, the row, the change, what changed, fixed, or an expression", async () => {
  await query("insert into orders (id) values (1)");
  const payloads: Record<string, unknown> = {
    key: { id: 1 },
    row: order(1, { status: "paid", total: 5 }),
    change: { event: "update", old: order(1), new: order(1, { status: "paid", total: 5 }) },
    changed: { event: "update", key: { id: 1 }, old: { status: "new", total: 0 }, new: { status: "paid", total: 5 } },
    '{"fixed": true}': { fixed: true },
    "jsonb_build_object('was', old.status, 'is', new.status) -- of the order": { was: "new", is: "paid" },
    "new.total": 5,
    "tg_op || ' of ' || new.id": "UPDATE of 1",
    "to_jsonb(new) - 'details' - 'region'": { id: 1, status: "paid", total: 5 },
    "nullif(new.total, 5)": null,
  };
  for (const payload of Object.keys(payloads)) await watch(pool, "orders", { task: payload, payload });
  await query("update orders set status = 'paid', total = 5");
  const jobs = await takeJobs(database);
  assert.deepEqual(Object.fromEntries(jobs.map(({ task, payload }) => [task, payload])), payloads);
});

test("what changed is the whole row for an insert and a delete, and an update that changed nothing is none", async () => {
  await watch(pool, "orders", { task: "t", payload: "changed" });
  await query("insert into orders (id) values (1)");
  await query("update orders set status = status");
  await query("delete from orders");
  assert.deepEqual(await takePayloads(database), [
    { event: "insert", key: { id: 1 }, old: null, new: order(1) },
    { event: "delete", key: { id: 1 }, old: order(1), new: null },
  ]);
});

test("queue, priority and delay are fixed or read from the row, and the task's where they are null", async () => {
  await watch(pool, "orders", { task: "order_changed", name: "fixed", queue: "mail", priority: "-5", delay: "1h30m" });
  await watch(pool, "orders", {
    task: "order_changed",
    name: "read",
    queue: "new.region",
    priority: "case when new.total > 100 then 50 end",
    delay: "make_interval(mins => new.total::integer)",
  });
  await query("insert into orders (id, total, region) values (1, 200, 'eu'), (2, 0, null)");
  const jobs = await query(
    "select queue, priority, extract(epoch from run_at - created_at)::integer as delay from rouse.job order by id",
  );
  assert.deepEqual(jobs, [
    { queue: "mail", priority: -5, delay: 5400 },
    { queue: "mail", priority: -5, delay: 5400 },
    { queue: "eu", priority: 50, delay: 12000 },
    { queue: "orders", priority: 7, delay: 0 },
  ]);
});

test("a unique key from the row holds while a job with it is live", async () => {
  await watch(pool, "orders", { task: "a", unique_key: "key", payload: "row" });
  await watch(pool, "orders", { task: "b", unique_key: "new.region", events: ["insert"] });
  await query("insert into orders (id, region) values (1, 'eu'), (2, 'eu'), (3, null), (4, null)");
  await query("update orders set status = 'paid'");
  await query("delete from orders");
  const jobs = await takeJobs(database);
  assert.deepEqual(
    jobs.filter(({ task }) => task === "a").map(({ unique_key, payload }) => [unique_key, payload]),
    [1, 2, 3, 4].map((id) => [String(id), order(id, { region: id < 3 ? "eu" : null })]),
  );
  assert.deepEqual(
    jobs.filter(({ task }) => task === "b").map(({ unique_key }) => unique_key),
    ["eu", null, null],
  );
});

test("C3: an update counts where one of the columns really changed", async () => {
  await watch(pool, "orders", { task: "t", columns: ["status", "details"], payload: "key" });
  await query(`insert into orders (id, details) select n, '{"a": 1}' from generate_series(1, 3) as n`);
  await takeJobs(database);
  await query("update orders set total = total + 1");
  await query("update orders set status = status, details = details where id = 2");
  assert.deepEqual(await takePayloads(database), []);
  await query("update orders set status = 'paid' where id = 1");
  await query(`update orders set details = case id when 2 then null else details end`);
  await query("update orders set status = case id when 3 then 'sent' else status end");
  assert.deepEqual(await takePayloads(database), [{ id: 1 }, { id: 2 }, { id: 3 }]);
});

test("C3: a trigger of the application that changes a column counts, though the statement does not name it", async () => {
  await query(`
    create function touch() returns trigger language plpgsql as $$ begin new.status := 'touched'; return new; end $$;
    create trigger touch before update on orders for each row execute function touch()`);
  await watch(pool, "orders", { task: "t", columns: ["status"], payload: "key" });
  await query("insert into orders (id) values (1)");
  await takeJobs(database);
  await query("update orders set total = 1");
  assert.deepEqual(await takePayloads(database), [{ id: 1 }]);
  await query("drop trigger touch on orders");
});

test("C3: the condition sees old and new, which are null where there is none", async () => {
  await watch(pool, "orders", {
    task: "rose",
    condition: "new.total > old.total",
    payload: "jsonb_build_array(old.total, new.total)",
  });
  await watch(pool, "orders", { task: "appeared", condition: "old is null and new.region = 'eu'", payload: "key" });
  await query("insert into orders (id, region) values (1, 'eu'), (2, 'us')");
  await query("update orders set total = 5");
  await query("update orders set total = 4 where id = 2");
  await query("update orders set total = total + id");
  await query("delete from orders");
  assert.deepEqual(
    (await takeJobs(database)).map(({ task, payload }) => [task, payload]),
    [
      ["appeared", { id: 1 }],
      ["rose", [0, 5]],
      ["rose", [0, 5]],
      ["rose", [5, 6]],
      ["rose", [4, 6]],
    ],
  );
});

test("C7: settings of the transaction or the session travel in the job, and end with them", async () => {
  await watch(pool, "orders", { task: "t", context: ["app.tenant", "app.trace_id"], events: ["insert"] });
  const client = await database.connect();
  await client.query(`
    begin;
    set local app.tenant = 'acme';
    set local app.trace_id = '4bf9';
    insert into orders (id) values (1);
    commit;
    insert into orders (id) values (2);
    set app.tenant = 'it''s "us"';
    insert into orders (id) values (3);
    insert into orders (id) select n from generate_series(4, 20) as n;
    reset app.tenant`);
  await client.query("insert into orders (id) values (21)");
  const headers = (await takeJobs(database)).map((job) => job.headers);
  assert.deepEqual(headers, [
    { "app.tenant": "acme", "app.trace_id": "4bf9" },
    null,
    ...Array(18).fill({ "app.tenant": `it's "us"` }),
    null,
  ]);
});

test("nothing is made after unwatch, and what was made stays", async () => {
  const name = await watch(pool, "orders", { task: "t", payload: "key" });
  await query("insert into orders (id) values (1)");
  assert.equal(await unwatch(pool, name), true);
  await query("insert into orders (id) values (2)");
  assert.deepEqual(await takePayloads(database), [{ id: 1 }]);
  assert.equal(await unwatch(pool, name), false);
});
