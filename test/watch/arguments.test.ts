import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { setUp, takeJobs, takePayloads, watch, watchRow } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;

setUp(
  database,
  `create table orders (id integer primary key, status text, total numeric, born timestamptz);
   create table log (line text);
   create view orders_view as select * from orders;
   create materialized view orders_copy as select * from orders;
   create sequence numbers;
   create unlogged table quick (id integer);
   insert into rouse.task (name) values ('t')`,
);

afterEach(async () => {
  await query("select rouse.unwatch(name) from rouse.watch");
  await query("truncate orders, log");
  await takeJobs(database);
});

const refused: [title: string, relation: string, options: Record<string, unknown>, error: RegExp, code?: string][] = [
  ["a table that does not exist", "ordres", {}, /relation "ordres" does not exist/, "42P01"],
  ["a view", "orders_view", {}, /^public\.orders_view is a view\n.*tables that it reads/],
  ["a materialized view", "orders_copy", {}, /is a materialized view/],
  ["a sequence", "numbers", {}, /^public\.numbers is not a table/],
  ["an index", "orders_pkey", {}, /is not a table/],
  ["a system catalog", "pg_class", {}, /^pg_class is a system catalog/],
  ["our own table", "rouse.job", {}, /^rouse\.job belongs to the queue itself\n.*never end/],
  ["no receiver", "orders", { task: null }, /^neither task nor topic was given/],
  ["an empty task", "orders", { task: "" }, /^task '' has 0 characters/],
  ["a task with a name that is too long", "orders", { task: "x".repeat(201) }, /has 201 characters/],
  ["an empty topic", "orders", { topic: "" }, /^topic '' has 0 characters/],
  ["an empty name", "orders", { name: "" }, /^name '' has 0 characters/],
  ["no event", "orders", { events: [] }, /^events is empty/],
  [
    "an unknown event",
    "orders",
    { events: ["insert", "upsert"] },
    /^events: there is no event 'upsert'\n.*insert, update, delete and truncate/,
  ],
  ["a null event", "orders", { events: [null] }, /^events: there is no event NULL/],
  [
    "an unknown column",
    "orders",
    { columns: ["statsu"] },
    /^columns: public\.orders has no column 'statsu'; did you mean 'status'\?\nColumns are id, status, total, born/,
  ],
  ["no column", "orders", { columns: [] }, /^columns is empty/],
  [
    "columns without an update",
    "orders",
    { columns: ["id"], events: ["insert"] },
    /^columns was given without the event update/,
  ],
  ["an unknown key column", "orders", { key: ["no"] }, /^key: public\.orders has no column 'no'/],
  ["the key of a table that has none", "log", { payload: "key" }, /^public\.log has no primary key\nGive key =>/],
  ["what changed in a table without a key", "log", { payload: "changed" }, /^public\.log has no primary key/],
  ["coalescing by the key of a table that has none", "log", { coalesce_key: "key" }, /^public\.log has no primary key/],
  [
    "a condition with a typo",
    "orders",
    { condition: "new.statsu = 'paid'" },
    /^condition 'new\.statsu = ''paid''': column new\.statsu does not exist/,
    "42703",
  ],
  [
    "a condition that is no SQL",
    "orders",
    { condition: "new.status =" },
    /^condition 'new\.status =': syntax error/,
    "42601",
  ],
  ["a condition that does not end", "orders", { condition: "(new.total > 1" }, /^condition .*syntax error/, "42601"],
  [
    "a condition that is several statements",
    "orders",
    { condition: "true); drop table orders; select (true" },
    /^condition .*cannot open multi-query plan as cursor/,
    "42P11",
  ],
  [
    "a condition that is not true or false",
    "orders",
    { condition: "new.total" },
    /^condition 'new\.total': argument of WHERE must be type boolean/,
    "42804",
  ],
  [
    "a condition with an aggregate",
    "orders",
    { condition: "count(new.id) > 1" },
    /^condition .*aggregate functions are not allowed/,
    "42803",
  ],
  [
    "a condition that knows no such function",
    "orders",
    { condition: "my_function(new.id)" },
    /^condition .*function my_function\(integer\) does not exist\n.*named with its schema/,
    "42883",
  ],
  [
    "a condition over the transition table",
    "orders",
    { condition: "(select count(*) from new_rows) > 1" },
    /^condition .*relation "new_rows" does not exist/,
    "42P01",
  ],
  [
    "a payload that is no word we know",
    "orders",
    { payload: "keys" },
    /^payload 'keys': invalid input syntax for type json\nGive key, row, change or changed/,
    "22P02",
  ],
  [
    "a payload with a typo",
    "orders",
    { payload: "jsonb_build_object('id', new.di)" },
    /^payload .*column new\.di does not exist/,
    "42703",
  ],
  [
    "a payload that is a set",
    "orders",
    { payload: "generate_series(1, new.id)" },
    /^payload .*set-returning functions are not allowed/,
    "0A000",
  ],
  ["an empty queue", "orders", { queue: "" }, /^queue '' has 0 characters/],
  ["a priority out of range", "orders", { priority: "101" }, /^priority 101 is out of range/],
  [
    "a priority that is no number",
    "orders",
    { priority: "high" },
    /^priority 'high': invalid input syntax for type integer: "high"\nGive a number/,
    "22P02",
  ],
  [
    "a priority that cannot be a number",
    "orders",
    { priority: "new.born" },
    /^priority 'new\.born': cannot cast type timestamp with time zone to integer/,
    "42846",
  ],
  ["a negative delay", "orders", { delay: "-1 minute" }, /^delay -00:01:00 is out of range/],
  [
    "a delay that is no time",
    "orders",
    { delay: "soon" },
    /^delay 'soon': invalid input syntax for type interval: "soon"\nGive a time, such as 5 minutes/,
    "22007",
  ],
  [
    "a delay that cannot be a time",
    "orders",
    { delay: "new.total" },
    /^delay 'new\.total': cannot cast type numeric to interval/,
    "42846",
  ],
  ["a unique key that is too long", "orders", { unique_key: "k".repeat(401) }, /^unique_key .*has 401 characters/],
  [
    "two kinds of keys",
    "orders",
    { unique_key: "key", coalesce_key: "key" },
    /^both unique_key and coalesce_key were given/,
  ],
  ["an empty batch", "orders", { batch: 0 }, /^batch 0 is not positive/],
  ["a batch that coalesces", "orders", { batch: 10, coalesce_key: "key" }, /^both batch and coalesce_key were given/],
  ["an unknown way with errors", "orders", { on_error: "ignore" }, /^on_error 'ignore' is unknown/],
  ["an unknown level", "orders", { level: "table" }, /^level 'table' is unknown/],
  [
    "a context that is no setting",
    "orders",
    { context: ["app.tenant", "app tenant"] },
    /^context: 'app tenant' is not the name of a setting/,
  ],
  ["a null in the context", "orders", { context: [null] }, /^context: NULL is not the name of a setting/],
];

for (const [title, relation, options, message, code = "22023"] of refused) {
  test(`watching refuses ${title}`, async () => {
    await assert.rejects(watch(pool, relation, { task: "t", ...options }), (error: pg.DatabaseError) => {
      assert.match(`${error.message}\n${error.hint ?? ""}`, message);
      assert.equal(error.code, code);
      if (code !== "42P01" || relation === "orders") assert.notEqual(error.hint ?? "", "");
      return true;
    });
    assert.deepEqual(await query("select from rouse.watch"), []);
    assert.deepEqual(await query("select from pg_trigger where tgrelid = 'orders'::regclass and not tgisinternal"), []);
  });
}

test("watching refuses a temporary table", async () => {
  const client = await database.connect();
  await client.query("create temp table here (id integer)");
  await assert.rejects(watch(client, "here", { task: "t" }), /here is a temporary table/);
});

test("watching tells of a task that is not known yet, with the nearest name", async () => {
  const client = await database.connect();
  const notices: string[] = [];
  client.on("notice", ({ message }) => notices.push(message ?? ""));
  await watch(client, "orders", { tasks: ["t", "tt"] });
  assert.deepEqual(notices, ['task "tt" is not known yet; did you mean "t"?']);
  await client.query("insert into orders (id) values (1)");
  assert.equal(notices.length, 1);
});

test("expressions do not see the search_path of whoever writes", async () => {
  await watch(pool, "orders", { task: "t", condition: "upper(new.status) = 'PAID'", payload: "key" });
  const client = await database.connect();
  await client.query(`
    create schema evil;
    create function evil.upper(text) returns text language sql return 'PAID';
    create function evil.never(text, text) returns boolean language sql return true;
    create operator evil.= (leftarg = text, rightarg = text, function = evil.never);
    set search_path = evil, pg_catalog, public`);
  await client.query("insert into orders (id, status) values (1, 'new'), (2, 'paid')");
  assert.deepEqual(await takePayloads(database), [{ id: 2 }]);
  await query("drop schema evil cascade");
});

test("the view reads well", async () => {
  await watch(pool, "orders", {
    ...{
      task: "t",
      topic: "orders",
      events: ["update"],
      columns: ["status"],
      condition: "new.total > 0",
      payload: "key",
    },
    ...{ queue: "mail", delay: "5 minutes", unique_key: "key", context: ["app.tenant"], batch: 10 },
  });
  const { changed_at: _, changed_by: __, ...row } = (await watchRow(pool, "public.orders.t+orders")) ?? {};
  assert.deepEqual(row, {
    watch: "public.orders.t+orders",
    relation: "orders",
    events: "update",
    tasks: "t",
    topic: "orders",
    status: "active",
    failed: null,
    error: null,
    columns: "status",
    condition: "new.total > 0",
    payload: "key",
    job_for: "up to 10 rows",
    options: "queue mail, delay 5 minutes, unique_key key, context app.tenant",
    on_error: "report",
    level: "statement",
  });
});
