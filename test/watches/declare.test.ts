import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { z } from "zod";
import { defineTask, defineWatch, rowChange, type Watch } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Tally } from "../support/latch.ts";
import { useRouse } from "../worker/support.ts";

const database = testDatabase({ prepare: makeTables });
const useClient = useRouse(database);
const { query } = database;

async function makeTables(): Promise<void> {
  await query(`
    create table orders (id integer primary key, status text, total numeric, paid_at timestamptz);
    create schema billing;
    create table billing."Odd ""name" (id integer primary key)`);
}

afterEach(async () => {
  await query("select rouse.unwatch(name) from rouse.watch");
  await query("truncate orders, rouse.job");
});

const audit = defineTask("audit", { run() {} });

/** Starts a worker with these watches and stops it again: what a deployment does. Gives what it logged of watches. */
async function deploy(app: string, watches: Watch[] | undefined): Promise<string[]> {
  const rouse = useClient([audit], { app, ...(watches === undefined ? {} : { watches }) });
  const worker = await rouse.startWorker();
  await worker.stop();
  return rouse.log.matching(/^watch /).map(({ message, fields }) => `${message} ${fields.watch}`);
}

const names = async () => (await query("select name from rouse.watch order by name")).map(({ name }) => name);

test("C1: a watch of the code starts its task with old and new as its schema of the row says", async () => {
  const order = z.object({
    id: z.number(),
    total: z.number(),
    paid_at: z.iso
      .datetime({ offset: true })
      .transform((text) => new Date(text))
      .nullable(),
  });
  const seen = new Tally<unknown>();
  const task = defineTask("order_changed", {
    payload: rowChange(order),
    run({ event, old, new: row }, { job }) {
      seen.add({ event, old: old?.total, new: row?.total, paid: row?.paid_at instanceof Date, headers: job.headers });
    },
  });
  const watch = defineWatch("orders changed", {
    ...{ relation: "orders", row: order, task, context: ["app.tenant"] },
    condition: "coalesce(new.total, old.total) > 1",
  });
  await useClient([task], { watches: [watch] }).startWorker({ concurrency: 1 });
  const client = await database.connect();
  await client.query("set app.tenant = 'acme'; insert into orders values (1, 'new', 10.5), (2, 'new', 1)");
  await client.query("update orders set status = 'paid', paid_at = now()");
  await client.query("delete from orders");
  await seen.reach(3);
  const headers = { "app.tenant": "acme" };
  assert.deepEqual(seen.all, [
    { event: "insert", old: undefined, new: 10.5, paid: false, headers },
    { event: "update", old: 10.5, new: 10.5, paid: true, headers },
    { event: "delete", old: 10.5, new: undefined, paid: false, headers },
  ]);
});

test("every option of defineWatch is that of watch()", async () => {
  await deploy("options", [
    defineWatch("w", {
      ...{ relation: "orders", task: [audit, "by_name"], topic: "orders", events: ["insert", "update"] },
      ...{ columns: ["status"], condition: "new.total > 1", payload: "key", key: ["id"], batch: 10, queue: "mail" },
      ...{ priority: -5, delay: 90_000, uniqueKey: "new.status", context: ["app.tenant"], onError: "raise" },
      concurrencyKey: "new.paid_at::text",
      ...{ level: "row", lockWait: "20s" },
    }),
    defineWatch("coalescing", { relation: `billing."Odd ""name"`, task: audit, coalesceKey: "key", delay: "1m30s" }),
  ]);
  assert.deepEqual(
    await query("select to_jsonb(w) - '{id,changed_at,changed_by}'::text[] as w from rouse.watch as w order by name"),
    [
      {
        ...{ name: "coalescing", relation: `billing."Odd ""name"`, tasks: ["audit"], topic: null, payload: "change" },
        ...{ events: ["insert", "update", "delete"], columns: null, condition: null, key: ["id"], batch: null },
        ...{ queue: null, priority: null, delay: "1m30s", unique_key: null, coalesce_key: "key", context: [] },
        concurrency_key: null,
        ...{ on_error: "report", level: "statement", source: "code:options" },
      },
      {
        ...{ name: "w", relation: "public.orders", tasks: ["audit", "by_name"], topic: "orders", payload: "key" },
        ...{ events: ["insert", "update"], columns: ["status"], condition: "new.total > 1", key: ["id"], batch: 10 },
        ...{ queue: "mail", priority: "-5", delay: "90000 milliseconds", unique_key: "new.status", coalesce_key: null },
        concurrency_key: "new.paid_at::text",
        ...{ context: ["app.tenant"], on_error: "raise", level: "row", source: "code:options" },
      },
    ].map((w) => ({ w })),
  );
  await deploy("options", []);
});

test("watches are upserted by name, and removed when the code no longer has them", async () => {
  const watch = (name: string, condition = "new.total > 1") =>
    defineWatch(name, { relation: "orders", task: audit, events: ["insert"], condition });
  assert.deepEqual(await deploy("shop", [watch("a"), watch("b")]), ["watch added a", "watch added b"]);
  const before = await query("select xmin::text, id from rouse.watch where name = 'a'");
  assert.deepEqual(await deploy("shop", [watch("a"), watch("b")]), []);
  assert.deepEqual(await query("select xmin::text, id from rouse.watch where name = 'a'"), before);
  assert.deepEqual(await deploy("shop", [watch("a", "new.total > 2"), watch("c")]), [
    "watch changed a",
    "watch added c",
    "watch removed b",
  ]);
  assert.deepEqual(await query("select id, condition from rouse.watch where name = 'a'"), [
    { id: before[0]!.id, condition: "new.total > 2" },
  ]);
  await query("insert into orders values (1, 'new', 3)");
  assert.deepEqual(await query("select count(*)::integer as jobs from rouse.job"), [{ jobs: 2 }]);
  assert.deepEqual(await deploy("shop", undefined), []);
  assert.deepEqual(await names(), ["a", "c"]);
});

test("a watch made by hand, or by another application, stays", async () => {
  const watch = (name: string) => defineWatch(name, { relation: "orders", task: audit });
  await query("select rouse.watch('orders', 'audit', name => 'by hand')");
  await deploy("other", [watch("others")]);
  await deploy("mine", [watch("mine"), watch("by hand")]);
  // Changed by hand meanwhile it is still the code's.
  await query("select rouse.watch('orders', 'audit', name => 'mine', payload => 'row')");
  await deploy("mine", []);
  assert.deepEqual(await names(), ["by hand", "others"]);
});

for (const [title, options, message] of [
  ["a table that is not there", { relation: "ordres" }, /^watch "w": relation "ordres" does not exist$/],
  ["a condition", { condition: "new.statsu = 'x'" }, /^watch "w": condition 'new\.statsu = ''x''': column new\.statsu/],
  ["a priority", { priority: 101 }, /^watch "w": priority 101 is out of range/],
  [
    "a row with another column",
    { row: z.object({ id: z.number(), totl: z.number() }) },
    /^watch "w": row: public\.orders has no column 'totl'; did you mean 'total'\?\n {2}Columns are id, status/,
  ],
] as const) {
  test(`${title} that is wrong keeps the worker from starting, and the watch is named`, async () => {
    const watch = defineWatch("w", { relation: "orders", task: audit, ...(options as { relation?: string }) });
    await assert.rejects(useClient([audit], { watches: [watch] }).startWorker(), { name: "RouseError", message });
    assert.deepEqual(await names(), []);
  });
}

test("a table in use is waited for as long as the watch says, and no table meanwhile because of another", async () => {
  const writer = await database.connect();
  await writer.query(`begin; insert into billing."Odd ""name" values (1)`);
  const watches = [
    defineWatch("a", { relation: "orders", task: audit }),
    defineWatch("b", { relation: `billing."Odd ""name"`, task: audit, lockWait: "500ms" }),
  ];
  const starting = assert.rejects(useClient([audit], { watches }).startWorker(), {
    message:
      /^watch "b": billing\."Odd ""name" is in use: no lock .*\n {2}Locks on it are held by process \d+\.\n {2}.*lock_wait/,
  });
  const other = await database.connect();
  await other.query("set statement_timeout = '10s'");
  while (!(await names()).includes("a"));
  await other.query("insert into orders values (1)");
  await starting;
  await writer.query("rollback");
});

test("a role that may only work is told who makes watches; where there are none it needs nothing", async () => {
  const role = `rouse_test_declarer_${process.pid}`;
  await query(`create role ${role} login password 'x'; select rouse.grant_access('${role}', 'work')`);
  const url = Object.assign(new URL(database.url), { username: role, password: "x" }).href;
  const watch = defineWatch("w", { relation: "orders", task: audit });
  const start = (watches: Watch[]) => useClient([audit], { watches, connectionString: url }).startWorker();
  const worker = await start([]);
  await worker.stop();
  await assert.rejects(start([watch]), /^RouseError: watch "w": permission denied .*\n {2}.*applyWatches: "migrate"/s);
  await query(`drop owned by ${role}; drop role ${role}`);
});

test("bad options of defineWatch are refused by name", () => {
  const define = (name: unknown, options: unknown) => () =>
    defineWatch(name as string, options as { relation: string });
  const relation = "orders";
  assert.throws(define("", { relation, task: audit }), /^ConfigError: watch name ""/);
  assert.throws(define("x", { task: audit }), /^ConfigError: watch "x" says nowhere what it watches: give relation/);
  assert.throws(define("x", { relation }), /^ConfigError: watch "x" needs a task or a topic/);
  assert.throws(define("x", { relation, task: [] }), /^ConfigError: watch "x" needs a task or a topic/);
  assert.throws(define("x", { relation, task: [() => {}] }), /^ConfigError: watch "x": task is neither a task/);
  assert.throws(define("x", { relation, task: audit, colums: [] }), /^ConfigError: unknown option "colums"/);
  assert.throws(
    define("x", { relation, task: audit, lockWait: "soon" }),
    /watch "x": lockWait "soon" is not a duration/,
  );
  assert.throws(define("x", { relation, task: audit, delay: -1 }), /watch "x": delay -1 is not a duration/);
  assert.throws(
    define("x", { relation, task: audit, row: z.object({ at: z.date() }) }),
    /watch "x": row is not a schema/,
  );
  const one = defineWatch("one", { relation, task: audit });
  const other = defineWatch("one", { relation, task: audit });
  assert.throws(() => useClient([], { watches: [one, other] }), /the watch name "one" is taken twice/);
  assert.throws(() => useClient([], { watches: [audit as unknown as Watch] }), /not one made by defineWatch/);
});

test("rowChange checks both rows, and names the field that does not fit", async () => {
  const schema = rowChange(z.object({ n: z.string().transform(Number) }), ["update", "truncate"]);
  const check = async (value: unknown) => {
    const { issues, ...valid } = await schema["~standard"].validate(value);
    return issues?.map(({ path, message }) => `${path?.join(".")}: ${message}`) ?? valid;
  };
  assert.deepEqual(await check({ event: "update", old: { n: "1" }, new: { n: "2" } }), {
    value: { event: "update", old: { n: 1 }, new: { n: 2 } },
  });
  assert.deepEqual(await check({ event: "truncate" }), { value: { event: "truncate" } });
  assert.match(String(await check({ event: "update", old: { n: 1 }, new: null })), /^old\.n: .*,new: /);
  for (const bad of [{ event: "insert", old: null, new: { n: "1" } }, null, "text", []]) {
    assert.deepEqual(await check(bad), ["event: expected one of update, truncate"]);
  }
  const task = defineTask("t", { payload: schema, run() {} });
  const json = z.fromJSONSchema(task.declaration.payload_schema as never);
  assert.ok(json.safeParse({ event: "update", old: { n: "1" }, new: { n: "2" } }).success);
  assert.ok(json.safeParse({ event: "truncate" }).success);
  assert.ok(!json.safeParse({ event: "update", old: null, new: { n: "2" } }).success);
});
