import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { setUp, takeJobs, watch } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;

setUp(
  database,
  `create table orders (id integer primary key, total integer);
   insert into rouse.task (name, queue, delay, aliases) values
     ('bill', 'money', '0', '{charge}'), ('ship', 'default', '1 hour', '{}')`,
);

afterEach(async () => {
  await query("select rouse.unwatch(name) from rouse.watch");
  await query("truncate orders, rouse.subscription, rouse.broadcast");
  await takeJobs(database);
});

const publish = async (on: pg.ClientBase | pg.Pool, topic: string, payload: unknown, headers: unknown = null) => {
  const { rows } = await on.query("select rouse.publish($1, $2::jsonb, $3::jsonb) as jobs", [
    topic,
    JSON.stringify(payload),
    headers === null ? null : JSON.stringify(headers),
  ]);
  return Number(rows[0].jobs);
};

const subscribe = (topic: string, task: string) => query("select rouse.subscribe($1, $2)", [topic, task]);

/** A listening process as small as can be: it keeps what notifications name and fetches the messages. */
async function listen(topic: string) {
  const client = await database.connect();
  const notifications: string[] = [];
  client.on("notification", ({ payload }) => {
    if (JSON.parse(payload ?? "{}").topic === topic) notifications.push(payload ?? "");
  });
  await client.query(`do $$ begin execute 'listen ' || rouse.channel(); end $$`);
  return {
    /** The notifications since the last call, up to the one of a message published now, which comes after all others. */
    async notified(): Promise<string[]> {
      await publish(pool, topic, "the end");
      const [end] = await query("select max(id)::text as id from rouse.broadcast where topic = $1", [topic]);
      const isEnd = (text: string) => String(JSON.parse(text).id) === end?.id;
      await until(() => notifications.some(isEnd), { message: `a listener hears of ${topic}` });
      return notifications.splice(0).filter((text) => !isEnd(text));
    },
    async heard(): Promise<unknown[]> {
      return (await this.fetch(await this.notified())).filter((payload) => payload !== "the end");
    },
    async fetch(named: string[]): Promise<unknown[]> {
      const ids = named.map((text) => JSON.parse(text).id);
      const rows = await query("select topic, payload from rouse.broadcasts_v1($1)", [ids]);
      assert.ok(rows.every((row) => row.topic === topic));
      return rows.map(({ payload }) => payload);
    },
  };
}

test("C8: each subscribed task gets a job, with its own defaults, once", async () => {
  await subscribe("order.paid", "charge");
  await subscribe("order.paid", "bill");
  await subscribe("order.paid", "ship");
  await subscribe("other", "ship");
  assert.equal(await publish(pool, "order.paid", { id: 1 }, { trace: "4bf9" }), 2);
  assert.deepEqual(
    (await takeJobs(database)).map(({ task, queue, state, payload, headers }) => ({
      task,
      queue,
      state,
      payload,
      headers,
    })),
    [
      { task: "bill", queue: "money", state: "ready" },
      { task: "ship", queue: "default", state: "scheduled" },
    ].map((job) => ({ ...job, payload: { id: 1 }, headers: { topic: "order.paid", trace: "4bf9" } })),
  );
  await query("select rouse.unsubscribe('order.paid', 'ship'), rouse.unsubscribe('order.paid', 'charge')");
  assert.equal(await publish(pool, "order.paid", null), 1);
  assert.equal(await publish(pool, "nobody", [1, 2]), 0);
});

test("C8: every listener gets every message, in order, only after the commit and none of a rollback", async () => {
  const listeners = await Promise.all([listen("news"), listen("news"), listen("weather")]);
  const client = await database.connect();
  await client.query("begin");
  await publish(client, "news", "first");
  await client.query("savepoint s");
  await publish(client, "news", "never");
  await client.query("rollback to s");
  await publish(client, "news", { second: [2] });
  await publish(client, "news", "first");
  const before = await listeners[0]?.heard();
  assert.deepEqual(before, []);
  await client.query("commit; begin");
  await publish(client, "news", "rolled back");
  await client.query("rollback");
  const [one, two, weather] = listeners;
  assert.deepEqual(await one?.heard(), ["first", { second: [2] }, "first"]);
  assert.deepEqual(await two?.heard(), ["first", { second: [2] }, "first"]);
  assert.deepEqual(await weather?.heard(), []);
});

test("C8: a message of any size arrives, and the notification never carries it", async () => {
  const listener = await listen("big");
  const message = { text: "x'\"\\é".repeat(100_000) };
  await publish(pool, "big", message);
  await publish(pool, "big", { secret: "sauce" });
  const notified = await listener.notified();
  assert.ok(notified.every((text) => text.length < 100 && !text.includes("sauce")));
  assert.deepEqual(await listener.fetch(notified), [message, { secret: "sauce" }]);
});

test("C8: a watch publishes its changes: jobs for the subscribed, one notification a statement", async () => {
  await subscribe("orders", "bill");
  await watch(pool, "orders", { topic: "orders", task: "audit", events: ["insert"], payload: "key" });
  const listener = await listen("orders");
  await query("insert into orders select n from generate_series(1, 30) as n");
  await query("insert into orders values (31)");
  assert.equal((await query("select from rouse.broadcast")).length, 31);
  const keys = Array.from({ length: 31 }, (_, index) => ({ id: index + 1 }));
  const jobs = await takeJobs(database);
  for (const task of ["audit", "bill"]) {
    assert.deepEqual(
      jobs.filter((job) => job.task === task).map(({ payload }) => payload),
      keys,
    );
  }
  assert.deepEqual(jobs.find(({ task }) => task === "bill")?.headers, { topic: "orders" });
  assert.deepEqual(jobs.find(({ task }) => task === "audit")?.headers, null);
  const notified = await listener.notified();
  assert.equal(notified.length, 2);
  assert.deepEqual(await listener.fetch(notified), keys);
});

test("C8: a watch that only publishes tells 2,500 rows, a thousand at a time", async () => {
  await watch(pool, "orders", { topic: "orders", payload: "new.id", coalesce_key: "key", events: ["insert"] });
  const listener = await listen("orders");
  await query("insert into orders select n from generate_series(1, 2500) as n");
  assert.deepEqual(
    (await listener.heard()).sort((a, b) => Number(a) - Number(b)),
    Array.from({ length: 2500 }, (_, index) => index + 1),
  );
  assert.deepEqual(await takeJobs(database), []);
});

/** Lets housekeeping take the time to be that much later. */
const dropStale = (later: string) => query("select rouse.drop_stale(clock_timestamp() + $1::interval)", [later]);

test("live messages are removed ten minutes after their commit, however long their transaction was open", async () => {
  const client = await database.connect();
  await client.query("begin");
  await publish(client, "news", "long");
  await publish(pool, "news", "short");
  await dropStale("0");
  await dropStale("9 minutes");
  assert.equal((await query("select from rouse.broadcast")).length, 1);
  await client.query("commit");
  await dropStale("11 minutes");
  assert.deepEqual(await query("select payload from rouse.broadcast"), [{ payload: "long" }]);
  await dropStale("11 minutes");
  assert.deepEqual(await query("select payload from rouse.broadcast"), []);
});

test("C8: from a mark that was heard, what was committed later is found: no more, no less", async () => {
  const listener = await database.connect();
  const heard: number[] = [];
  listener.on("notification", ({ payload }) => heard.push(JSON.parse(payload ?? "{}").mark));
  await listener.query(`do $$ begin execute 'listen ' || rouse.channel(); end $$`);
  const since = async (mark: unknown) =>
    (await query("select topic, payload from rouse.broadcasts_since_v1('{a,b}', $1)", [mark])).map(
      ({ topic, payload }) => `${topic} ${payload}`,
    );
  const open = await database.connect();
  await publish(pool, "a", 1);
  await open.query("begin");
  await publish(open, "a", 2);
  const [{ mark }] = (await query("select rouse.broadcast_mark_v1()::integer as mark")) as [{ mark: number }];
  await until(() => heard.includes(mark), { message: "the mark is heard" });
  assert.deepEqual(await since(mark), []);
  await publish(pool, "b", 3);
  await publish(pool, "c", 4);
  assert.deepEqual(await since(mark), ["b 3"]);
  await open.query("commit");
  assert.deepEqual(await since(mark), ["a 2", "b 3"]);
  await query("update rouse.broadcast_mark set made_at = made_at - interval '9 minutes' where id = $1", [mark]);
  await assert.rejects(since(mark), { code: "55000", message: `what was published since mark ${mark} may be gone` });
  await assert.rejects(since(null), { code: "55000" });
});

test("subscriptions come from SQL and from code, and code takes away only its own", async () => {
  const declare = async (topics: Record<string, string[]>) => {
    const [{ changed }] = (await query("select rouse.declare_topics_v1($1) as changed", [JSON.stringify(topics)])) as [
      { changed: number },
    ];
    return changed;
  };
  const all = async () =>
    (await query("select topic || ' ' || task as s from rouse.subscription order by 1")).map(({ s }) => s);
  assert.deepEqual(await query("select rouse.subscribe('a', 'bill') as is_new"), [{ is_new: true }]);
  assert.deepEqual(await query("select rouse.subscribe('a', 'bill') as is_new"), [{ is_new: false }]);
  assert.equal(await declare({ bill: ["a", "b", "c"], ship: ["a"] }), 3);
  assert.equal(await declare({ bill: ["a", "b", "c"], ship: ["a"] }), 0);
  assert.deepEqual(await all(), ["a bill", "a ship", "b bill", "c bill"]);
  await query("select rouse.subscribe('c', 'bill')");
  assert.equal(await declare({ bill: [] }), 1);
  assert.deepEqual(await all(), ["a bill", "a ship", "c bill"]);
  assert.equal(await declare({ ship: [] }), 1);
  await query("insert into rouse.subscription (topic, task) values ('d', 'ship')");
  assert.equal(await publish(pool, "d", {}), 1);
});

for (const [title, sql, error] of [
  ["an empty topic", "select rouse.publish('')", /^topic '' has 0 characters/],
  ["no topic", "select rouse.publish(null)", /^topic NULL has 0 characters/],
  [
    "a payload above the limit",
    "select rouse.publish('t', to_jsonb(repeat('x', 1000001)))",
    /^payload has 10000\d\d bytes, the limit is 1000000/,
  ],
  ["headers that are no object", "select rouse.publish('t', headers => '[]')", /^headers is a JSON array/],
  [
    "a topic that is too long to subscribe to",
    "select rouse.subscribe(repeat('x', 201), 't')",
    /^topic .* has 201 characters/,
  ],
  ["no task to subscribe", "select rouse.subscribe('t', null)", /^task NULL has 0 characters/],
  ["declarations that are a list", `select rouse.declare_topics_v1('["a"]')`, /object/],
] as const) {
  test(`publishing and subscribing refuse ${title}`, async () => {
    await assert.rejects(query(sql), { message: error });
    assert.deepEqual(await query("select from rouse.broadcast"), []);
  });
}
