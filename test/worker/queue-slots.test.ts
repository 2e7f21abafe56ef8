import assert from "node:assert/strict";
import test from "node:test";
import { readSettings } from "../../src/config/read-settings.ts";
import { ConfigError, defineTask, type WorkerOptions } from "../../src/index.ts";
import { Slots } from "../../src/worker/slots.ts";
import { testDatabase } from "../support/database.ts";
import { clear, register, rows } from "../support/engine.ts";
import { Latch, Tally } from "../support/latch.ts";
import { betweenBeats, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

/** A task whose handlers each end when the test says so. */
function gated() {
  const begun = new Tally<{ queue: string; end: () => void }>();
  const task = defineTask("gated", {
    run: (_payload, { job: { queue } }) => {
      const latch = new Latch();
      begun.add({ queue, end: latch.open });
      return latch.opened;
    },
  });
  const inQueue = (queue: string) => begun.all.filter((job) => job.queue === queue);
  return { begun, task, inQueue };
}

test("B5: each queue has its own slots, so that none keeps another from running, however full it is", async () => {
  await db.query("update rouse.setting set lease = '10 minutes'");
  const { begun, task, inQueue } = gated();
  const ended = new Set<unknown>();
  const rouse = rouseWith([task]);
  const many = (queue: string, count: number) => Array.from({ length: count }, () => ({ task, queue, priority: 100 }));
  await rouse.enqueueMany(many("mail", 50));
  const worker = await rouse.startWorker({ queues: { mail: 2, "*": 3 } });
  await begun.reach(2);
  await rouse.enqueueMany([...many("images", 5), ...many("reports", 5)].map((job) => ({ ...job, priority: -100 })));
  await begun.reach(5);
  for (let n = 0; n < 60; n++) {
    const running = begun.all.filter((job) => !ended.has(job));
    const mail = running.filter(({ queue }) => queue === "mail").length;
    assert.ok(mail <= 2 && running.length - mail <= 3, `${mail} of mail and ${running.length - mail} others run`);
    const first = running[n % running.length]!;
    ended.add(first);
    first.end();
    // The slot is used at once: by a job of the same lane, as long as there is one.
    const others = inQueue("images").length + inQueue("reports").length;
    const more = first.queue === "mail" ? inQueue("mail").length < 50 : others < 10;
    await begun.reach(begun.all.length + (more ? 1 : 0));
  }
  await worker.drained();
  assert.equal(begun.all.length, 60);
});
test("queues that are named alone are the only ones that are served", async () => {
  const { begun, task } = gated();
  const rouse = rouseWith([task]);
  await rouse.enqueueMany([
    { task, queue: "mail" },
    { task, queue: "other" },
  ]);
  const worker = await rouse.startWorker({ queues: { mail: 2 } });
  const [mail] = await begun.reach(1);
  const [row] = await db.query("select queues, concurrency from rouse.worker where name = $1", [worker.name]);
  assert.deepEqual(row, { queues: ["mail"], concurrency: 2 });
  mail!.end();
  await worker.drained();
  assert.deepEqual(
    begun.all.map(({ queue }) => queue),
    ["mail"],
  );
  await db.query("delete from rouse.job");
});

test("B10: a handler that ignores its signal holds a slot of its queue alone, which is used when it is free", async () => {
  let gate = new Latch();
  const begun = new Tally<string>();
  const deaf = defineTask("deaf", {
    timeout: 20,
    retry: { maxAttempts: 1 },
    run: (_payload, { job }) => {
      begun.add(job.queue);
      return gate.opened;
    },
  });
  const quick = defineTask("quick", { run: (_payload, { job }) => void begun.add(`quick ${job.queue}`) });
  const rouse = rouseWith([deaf, quick]);
  await rouse.startWorker({ queues: { mail: 1, "*": 1 } });
  await betweenBeats(db, async () => {
    gate = new Latch();
    const before = begun.all.length;
    const { result } = await rouse.enqueue(deaf, undefined, { queue: "mail" });
    await assert.rejects(result(), /timeout of 20 ms/);
    await rouse.enqueue(quick, undefined, { queue: "mail" });
    await (await rouse.enqueue(quick)).result();
    gate.open();
    assert.deepEqual((await begun.reach(before + 3)).slice(before), ["mail", "quick default", "quick mail"]);
  });
});

test("exchange_v1 claims of each queue what there is room for, and looks at no full one again", async () => {
  await clear(db);
  const worker = await register(db.pool);
  await db.query(`
    insert into rouse.job (task, queue)
    select 'x', q from unnest('{mail,images,reports}'::text[]) as q, generate_series(1, 4)`);
  const exchange = (most: number, slots: object) =>
    rows<{ outcome: string; queue: string }>(
      db.pool,
      "select outcome, queue from rouse.exchange_v1($1, null, null, $2, slots => $3) order by queue, outcome",
      [worker, most, JSON.stringify(slots)],
    );
  const count = (found: { outcome: string; queue: string }[]) =>
    Object.fromEntries(
      ["mail", "images", "reports", null].map((queue) => [queue, found.filter((row) => row.queue === queue).length]),
    );
  assert.deepEqual(count(await exchange(3, { mail: 1, "*": 2 })), { mail: 1, images: 2, reports: 0, null: 0 });
  const full = await exchange(8, { mail: 0, "*": 8 });
  assert.deepEqual(count(full), { mail: 0, images: 2, reports: 4, null: 1 });
  assert.equal(full.at(-1)!.outcome, "sleep", "mail is full");
  assert.deepEqual(count(await exchange(2, { mail: 9, "*": 9 })), { mail: 2, images: 0, reports: 0, null: 0 });
});

test("calls that are under way together do not ask for the same slots", () => {
  const slots = new Slots({ queues: { mail: 2, "*": 3 } });
  const first = slots.ask(["mail", "images"]);
  assert.deepEqual(first, { mail: 1, "*": 2 });
  assert.deepEqual(slots.ask(["mail", "images"]), { mail: 0, "*": 0 });
  slots.answered(first);
  assert.deepEqual(slots.ask(["mail", "mail", "images", "reports"]), { mail: 0, "*": 1 });
});

test("bad slots are refused by name", () => {
  const refused = (options: WorkerOptions, message: RegExp) =>
    assert.throws(
      () => new Slots(options),
      (error) => error instanceof ConfigError && message.test(error.message),
    );
  refused({ queues: { mail: 0 } }, /queues\["mail"\] 0 is not a whole number from 1 to 10000/);
  refused({ queues: { mail: "5" as never } }, /queues\["mail"\] 5 is not/);
  refused({ queues: {} }, /queues \[\] is not a list of names, nor an object such as/);
  refused({ queues: "mail" as never }, /is not a list of names/);
  refused({ queues: { mail: 9_000, "*": 9_000 } }, /the sum of all slots 18000/);
  refused({ queues: { mail: 5 }, concurrency: 5 }, /concurrency 5 was given together with slots/);
});

test("slots by queue can be given as text", () => {
  const read = (queues: unknown) =>
    readSettings(["queues"], {
      flags: {},
      environment: {},
      file: { path: "rouse.config.ts", values: { queues } } as never,
    }).queues;
  assert.deepEqual(read("mail=5, *=10"), { mail: 5, "*": 10 });
  assert.deepEqual(read({ mail: 5 }), { mail: 5 });
  assert.deepEqual(read("mail,a=b"), ["mail", "a=b"]);
  assert.deepEqual(read(["mail"]), ["mail"]);
  assert.throws(
    () => read("mail=0"),
    /queues in rouse\.config\.ts is "mail=0", not a list of queue names .* mail=5,\*=10/,
  );
  assert.throws(() => read({ mail: "x" }), ConfigError);
});
