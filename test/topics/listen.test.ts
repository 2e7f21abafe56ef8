import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { defineTask, type Rouse } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { withDatabase } from "../support/urls.ts";
import { terminate, useRouse } from "../worker/support.ts";

const database = testDatabase();
const useClient = useRouse(database);

const proxies: TcpProxy[] = [];
async function startProxy(): Promise<TcpProxy> {
  const proxy = await TcpProxy.start(database.url);
  proxies.push(proxy);
  return proxy;
}
after(() => Promise.all(proxies.map((proxy) => proxy.stop())));

afterEach(() => database.query("truncate rouse.broadcast, rouse.broadcast_mark, rouse.job, rouse.subscription"));

/** What a client hears of a topic, and how often it was told that it missed something. */
async function hear(rouse: Rouse, topic: string) {
  const heard = new Tally<unknown>();
  const missed = new Tally<void>();
  const listening = await rouse.listen(topic, (payload) => heard.add(payload), { onMissed: () => missed.add() });
  return { heard, missed, stop: listening.stop };
}

const listeners = async () =>
  (
    await database.query(
      "select from pg_stat_activity where datname = current_database() and application_name = 'rouse listener'",
    )
  ).length;

test("C8: every process that listens hears every message, whoever publishes it, once and in order", async () => {
  const [one, two] = [useClient([]), useClient([])];
  const news = await Promise.all([hear(one, "news"), hear(one, "news"), hear(two, "news")]);
  const weather = await hear(two, "weather");
  await one.publish("news", { n: 1 });
  await database.query("select rouse.publish('news', '2')");
  await database.query(`select rouse.publish('weather', '"rain"'), rouse.publish('nobody', '0')`);
  await two.publish("news", [3]);
  for (const { heard } of news) assert.deepEqual(await heard.reach(3), [{ n: 1 }, 2, [3]]);
  assert.deepEqual(await weather.heard.reach(1), ["rain"]);
});

test("C8: a message of 900 kB is heard, with its topic and time", async () => {
  const rouse = useClient([]);
  const text = "x'\"\\é".repeat(150_000);
  const heard = new Latch<unknown>();
  await rouse.listen("big", (payload, message) =>
    heard.open([payload, message.topic, message.publishedAt instanceof Date]),
  );
  await rouse.publish("big", { text });
  assert.deepEqual(await heard.opened, [{ text }, "big", true]);
});

test("C8: nothing is heard before the commit, nor of a rollback; messages come in the order of commits", async () => {
  const rouse = useClient([]);
  const { heard } = await hear(rouse, "news");
  const [early, late] = [await database.connect(), await database.connect()];
  await early.query("begin");
  await rouse.publish("news", "published first, committed last", { client: early });
  await late.query("begin");
  await rouse.publish("news", "rolled back", { client: late });
  await late.query("rollback; begin");
  await rouse.publish("news", "published later, committed first", { client: late });
  assert.deepEqual(heard.all, []);
  await late.query("commit");
  assert.deepEqual(await heard.reach(1), ["published later, committed first"]);
  await early.query("commit");
  assert.equal((await heard.reach(2))[1], "published first, committed last");
});

test("C8: changes of a watched table are heard, all rows of a statement", async () => {
  await database.query("create table stock (id integer primary key)");
  await database.query("select rouse.watch('stock', topic => 'stock', payload => 'key')");
  const { heard } = await hear(useClient([]), "stock");
  await database.query("insert into stock select n from generate_series(1, 1500) as n");
  assert.deepEqual(
    (await heard.reach(1500)).map((key) => (key as { id: number }).id),
    Array.from({ length: 1500 }, (_, index) => index + 1),
  );
});

test("all that listens in a process shares one connection with its workers, which ends with the last of them", async () => {
  const rouse = useClient([defineTask("t", { run() {} })]);
  const one = await hear(rouse, "one");
  const worker = await rouse.startWorker();
  const two = await hear(rouse, "two");
  assert.equal(await listeners(), 1);
  await worker.stop();
  await one.stop();
  await rouse.publish("one", 1);
  await rouse.publish("two", 2);
  assert.deepEqual(await two.heard.reach(1), [2]);
  assert.deepEqual(one.heard.all, []);
  await two.stop();
  await until(async () => (await listeners()) === 0, { message: "the connection is closed" });
  const again = await hear(rouse, "two");
  await rouse.publish("two", 3);
  assert.deepEqual(await again.heard.reach(1), [3]);
  await rouse.close();
  await until(async () => (await listeners()) === 0, { message: "the connection is closed with the client" });
  await assert.rejects(
    rouse.listen("one", () => {}),
    /^RouseError: this client was closed/,
  );
});

test("what is published while the connection is away comes after it, also of a transaction older than that", async () => {
  const rouse = useClient([]);
  const { heard, missed } = await hear(rouse, "news");
  const open = await database.connect();
  await open.query("begin");
  await rouse.publish("news", "of an old transaction", { client: open });
  await rouse.publish("news", "before");
  await heard.reach(1);
  // A mark comes while the transaction is open.
  await hear(rouse, "other");
  for (let n = 0; n < 20; n += 1) {
    await terminate(database, "rouse listener");
    await rouse.publish("news", n);
    if (n === 10) await open.query("commit");
  }
  const all = await heard.reach(22);
  assert.deepEqual(
    all.filter((payload) => typeof payload === "number").sort((a, b) => Number(a) - Number(b)),
    Array.from({ length: 20 }, (_, n) => n),
  );
  assert.equal(all.filter((payload) => payload === "of an old transaction").length, 1);
  assert.deepEqual(missed.all, []);
});

test("nothing is missed and nothing made up while connections break, transactions overlap and marks come", async () => {
  const rouse = useClient([]);
  const { heard, missed } = await hear(rouse, "numbers");
  const committed = new Set<number>();
  let published = 0;
  let over = false;
  const publishers = Array.from({ length: 4 }, async () => {
    const client = await database.connect();
    while (!over) {
      const number = ++published;
      await client.query("begin");
      await rouse.publish("numbers", number, { client });
      // Some transactions end much later than others that began after them.
      await client.query("select pg_sleep($1)", [Math.random() < 0.1 ? 0.3 : Math.random() / 100]);
      const commits = Math.random() < 0.8;
      await client.query(commits ? "commit" : "rollback");
      if (commits) committed.add(number);
    }
  });
  for (let n = 0; n < 15; n += 1) {
    await database.query("select rouse.broadcast_mark_v1(), pg_sleep($1)", [Math.random() / 5]);
    await terminate(database, n % 4 === 0 ? "rouse%" : "rouse listener");
  }
  over = true;
  await Promise.all(publishers);
  await until(() => new Set(heard.all).size >= committed.size, { message: "all are heard" });
  assert.deepEqual(new Set(heard.all), committed);
  assert.deepEqual(missed.all, []);
});

test("where messages may be lost every handler is told, and hears what comes then", async () => {
  const rouse = useClient([]);
  const one = await hear(rouse, "one");
  const two = await hear(rouse, "two");
  // As a crash of the server leaves it, or nine minutes without a connection.
  await database.query("truncate rouse.broadcast, rouse.broadcast_mark");
  await terminate(database, "rouse listener");
  await Promise.all([one.missed.reach(1), two.missed.reach(1)]);
  assert.equal(rouse.log.matching(/^live messages may have been missed$/).length, 1);
  await rouse.publish("one", 1);
  await rouse.publish("two", 2);
  assert.deepEqual([await one.heard.reach(1), await two.heard.reach(1)], [[1], [2]]);

  // The new mark is one to go on from.
  await hear(rouse, "three");
  await terminate(database, "rouse listener");
  await rouse.publish("one", 3);
  assert.deepEqual(await one.heard.reach(2), [1, 3]);
  assert.equal(one.missed.all.length, 1);
});

test("messages that are gone before they can be fetched are not missed in silence", async () => {
  const { missed } = await hear(useClient([]), "news");
  await database.query('select pg_notify(rouse.channel(), \'{"topic": "news", "id": 123456789}\')');
  await missed.reach(1);
});

test("a connection that looks alive and is not is found by a mark, and nothing is missed", async () => {
  const proxy = await startProxy();
  const rouse = useClient([], { directConnectionString: proxy.through(database.url) });
  const one = await hear(rouse, "one");
  proxy.silence("rouse listener");
  await rouse.publish("one", "unheard");
  const two = await hear(rouse, "two");
  assert.deepEqual(await one.heard.reach(1), ["unheard"]);
  await rouse.publish("two", 2);
  assert.deepEqual(await two.heard.reach(1), [2]);
  assert.deepEqual(one.missed.all, []);
});

test("B22: where no notification ever comes, messages are looked for every second, and it says so", async () => {
  // A notification does not leave its database.
  const elsewhere = withDatabase(database.url, "postgres");
  const rouse = useClient([], { directConnectionString: elsewhere });
  const { heard, missed } = await hear(rouse, "news");
  assert.match((await rouse.log.line(/no notification comes/)).message, /directConnectionString/);
  for (let n = 1; n <= 3; n += 1) {
    await rouse.publish("news", n);
    await heard.reach(n);
  }
  assert.deepEqual(heard.all, [1, 2, 3]);
  assert.deepEqual(missed.all, []);
});

test("a handler that throws is logged and hears the next message; so do others", async () => {
  const rouse = useClient([]);
  const calls = new Tally<unknown>();
  await rouse.listen("news", (payload) => {
    calls.add(payload);
    throw new Error("thrown");
  });
  await rouse.listen("news", async () => {
    throw new Error("rejected");
  });
  const { heard } = await hear(rouse, "news");
  await rouse.publish("news", 1);
  await rouse.publish("news", 2);
  assert.deepEqual(await heard.reach(2), [1, 2]);
  assert.deepEqual(calls.all, [1, 2]);
  const errors = rouse.log.matching(/^a handler of live messages failed$/).map(({ fields }) => String(fields.error));
  assert.equal(errors.filter((error) => error.startsWith("Error: thrown")).length, 2);
  assert.equal(errors.filter((error) => error.startsWith("Error: rejected")).length, 2);
});

test("a live message wakes no worker", async () => {
  const proxy = await startProxy();
  const ran = new Latch();
  const rouse = useClient([defineTask("t", { run: () => ran.open() })], {
    connectionString: proxy.through(database.url),
    directConnectionString: database.url,
  });
  await rouse.startWorker();
  const before = proxy.transactions;
  for (let n = 0; n < 150; n += 1) await database.query("select rouse.publish('news')");
  await database.query("select rouse.enqueue('t')");
  await ran.opened;
  assert.ok(proxy.transactions - before < 30, `${proxy.transactions - before} transactions for one job`);
});

test("listening is refused where it cannot be, and leaves nothing behind", async () => {
  const unreachable = useClient([], { directConnectionString: "postgres://nobody@127.0.0.1:1/none" });
  await assert.rejects(
    unreachable.listen("news", () => {}),
    /^RouseError: the server cannot be listened to/,
  );
  const rouse = useClient([]);
  await assert.rejects(
    rouse.listen("", () => {}),
    /^ConfigError: topic "" is not a string/,
  );
  await assert.rejects(
    rouse.listen("t", () => {}, { onmissed() {} } as never),
    /^ConfigError: unknown option "onmissed"/,
  );
  assert.equal(await listeners(), 0);
});
