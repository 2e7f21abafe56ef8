import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { z } from "zod";
import { defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Tally } from "../support/latch.ts";
import { useRouse } from "../worker/support.ts";

const database = testDatabase();
const useClient = useRouse(database);

afterEach(() => database.query("truncate rouse.job, rouse.subscription"));

test("C8: a message becomes a job of each task whose code subscribes to the topic", async () => {
  const seen = new Tally<string>();
  const subscriber = (name: string, topics: string[]) =>
    defineTask(name, {
      payload: z.object({ id: z.number() }),
      topics,
      run: ({ id }, { job }) => seen.add(`${name} ${id} ${JSON.stringify(job.headers)}`),
    });
  const rouse = useClient([
    subscriber("bill", ["order.paid", "order.due"]),
    subscriber("ship", ["order.paid"]),
    subscriber("rest", []),
  ]);
  await rouse.startWorker();
  assert.equal(await rouse.publish("order.paid", { id: 1 }, { headers: { trace: "4bf9" } }), 2);
  assert.equal(await rouse.publish("order.due", { id: 2 }), 1);
  assert.equal(await rouse.publish("nobody's"), 0);
  assert.deepEqual((await seen.reach(3)).sort(), [
    'bill 1 {"topic":"order.paid","trace":"4bf9"}',
    'bill 2 {"topic":"order.due"}',
    'ship 1 {"topic":"order.paid","trace":"4bf9"}',
  ]);
});

test("C8: what is published with a client belongs to its transaction", async () => {
  const rouse = useClient([]);
  await database.query("select rouse.subscribe('news', 'reader')");
  const client = await database.connect();
  await client.query("begin");
  assert.equal(await rouse.publish("news", "rolled back", { client }), 1);
  await client.query("rollback; begin");
  await rouse.publish("news", "committed", { client });
  assert.deepEqual(await database.query("select from rouse.job"), []);
  await client.query("commit");
  assert.deepEqual(await database.query("select payload from rouse.job"), [{ payload: "committed" }]);
});

test("topics of a task that are gone from its code, or were under its former name, are unsubscribed", async () => {
  const deploy = async (name: string, topics: string[], aliases: string[] = []) => {
    const worker = await useClient([defineTask(name, { topics, aliases, run() {} })]).startWorker();
    await worker.stop();
  };
  const subscriptions = async () =>
    (await database.query("select topic || ' → ' || task as s from rouse.subscription order by 1")).map(({ s }) => s);
  await database.query("select rouse.subscribe('by hand', 'old')");
  await deploy("old", ["a", "b"]);
  assert.deepEqual(await subscriptions(), ["a → old", "b → old", "by hand → old"]);
  await deploy("new", ["b", "c"], ["old"]);
  assert.deepEqual(await subscriptions(), ["b → new", "by hand → old", "c → new"]);
});

test("publishing refuses what cannot be stored, a topic that is none, and a misspelt option", async () => {
  const rouse = useClient([]);
  await assert.rejects(rouse.publish("", {}), /^ConfigError: topic "" is not a string of 1 to 200 characters/);
  await assert.rejects(rouse.publish("x".repeat(201), {}), /^ConfigError: topic "x+" is not a string/);
  await assert.rejects(
    rouse.publish("t", "a\0b"),
    /^PayloadError: the payload published to "t" cannot be stored: .*NUL/,
  );
  await assert.rejects(rouse.publish("t", {}, { clent: 1 } as never), /^ConfigError: unknown option "clent"/);
  assert.throws(() => defineTask("t", { topics: [""], run() {} }), /^ConfigError: task "t": "" is not a name/);
});
