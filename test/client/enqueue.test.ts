import assert from "node:assert/strict";
import test from "node:test";
import { z } from "zod";
import { ConfigError, defineTask, type EnqueueOptions, PayloadError, type Queryable } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch } from "../support/latch.ts";
import { useRouse } from "../worker/support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const job = async (id: number) =>
  (
    await db.query(
      `select *, extract(epoch from run_at - created_at)::float as delay, extract(epoch from timeout)::float as timeout_s
       from rouse.job where id = $1`,
      [id],
    )
  )[0]!;

const mail = defineTask("mail", {
  payload: z.object({ to: z.string(), copies: z.number().int().default(1) }),
  queue: "mails",
  priority: 7,
  delay: "1 hour",
  timeout: "30s",
  retry: { maxAttempts: 3 },
  run: () => {},
});

test("A18: what a call leaves out is as the task says; a worker need not run for that, once one has declared it", async () => {
  const rouse = rouseWith([mail]);
  await (await rouse.startWorker({ queues: ["none"] })).stop();
  const { id, created } = await rouse.enqueue(mail, { to: "a" });
  assert.equal(created, true);
  const { queue, priority, state, delay, max_attempts, timeout_s, payload } = await job(id);
  assert.deepEqual(
    { queue, priority, state, delay, max_attempts, timeout_s, payload },
    {
      queue: "mails",
      priority: 7,
      state: "scheduled",
      delay: 3600,
      max_attempts: null,
      timeout_s: null,
      payload: { to: "a" },
    },
  );
});

test("A18: each call may choose delay, time, queue, priority, attempts and timeout", async () => {
  const rouse = rouseWith([mail]);
  const enqueued = async (options: EnqueueOptions) => job((await rouse.enqueue(mail, { to: "a" }, options)).id);

  assert.equal((await enqueued({ delay: "90s" })).delay, 90);
  assert.equal((await enqueued({ delay: "1h30m" })).delay, 5400);
  assert.equal((await enqueued({ delay: "2 days" })).delay, 2 * 86400);
  assert.equal((await enqueued({ delay: 1500 })).delay, 1.5);
  assert.deepEqual((await enqueued({ delay: 0 })).state, "ready");
  const runAt = new Date("2031-05-06T07:08:09.123Z");
  assert.deepEqual((await enqueued({ runAt })).run_at, runAt);
  assert.equal((await enqueued({ runAt: new Date(0) })).state, "ready");
  const chosen = await enqueued({
    queue: "other",
    priority: -100,
    maxAttempts: 1,
    timeout: "250 ms",
    tags: ["a", "b"],
    headers: { trace: "t1" },
  });
  assert.deepEqual(
    [chosen.queue, chosen.priority, chosen.max_attempts, chosen.timeout_s, chosen.tags, chosen.headers],
    ["other", -100, 1, 0.25, ["a", "b"], { trace: "t1" }],
  );
});

test("A18: handlers see what their job was enqueued with", async () => {
  const seen = new Latch<unknown>();
  const task = defineTask("seeing", {
    run: (
      _payload,
      { job: { queue, priority, attempt, maxAttempts, tags, headers, scheduledFor, runAt, createdAt } },
    ) => {
      const due = runAt instanceof Date && createdAt instanceof Date;
      seen.open({ queue, priority, attempt, maxAttempts, tags, headers, scheduledFor, due });
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  await rouse.enqueue(task, {}, { queue: "q", priority: 3, maxAttempts: 4, tags: ["x"], headers: { a: 1 } });
  assert.deepEqual(await seen.opened, {
    queue: "q",
    priority: 3,
    attempt: 1,
    maxAttempts: 4,
    tags: ["x"],
    headers: { a: 1 },
    scheduledFor: null,
    due: true,
  });
});

test("A16: a payload that does not fit is refused where it is enqueued, with the field named, and nothing is enqueued", async () => {
  const rouse = rouseWith([mail]);
  const count = async () => (await db.query("select count(*)::int as n from rouse.job"))[0]?.n;
  const before = await count();
  const bad = { to: 1 } as unknown as { to: string };
  await assert.rejects(rouse.enqueue(mail, bad), (error) => {
    assert.ok(error instanceof PayloadError);
    assert.match(error.message, /^payload of task "mail" does not fit its schema: to: /);
    return true;
  });
  // By name too, where the task is known here.
  await assert.rejects(rouse.enqueue("mail", bad), PayloadError);
  await assert.rejects(
    rouse.enqueueMany([
      { task: mail, payload: { to: "a" } },
      { task: mail, payload: bad },
    ]),
    PayloadError,
  );
  const bare = defineTask("bare", { run: () => {} });
  await assert.rejects(rouse.enqueue(bare, { a: 1 } as never), /takes no payload/);
  assert.equal(await count(), before);
});

test("payloads that JSON or PostgreSQL cannot hold are refused, saying why", async () => {
  const rouse = rouseWith([]);
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const cases: [payload: unknown, why: RegExp][] = [
    [cyclic, /circular/],
    [{ n: 1n }, /BigInt/],
    [() => 1, /is a function that has no JSON/],
    [Symbol("s"), /is a symbol that has no JSON/],
    [{ toJSON: () => undefined }, /has no JSON/],
    [{ text: "a\0b" }, /character NUL/],
    [{ "\0": 1 }, /character NUL/],
    [["\ud800"], /half of a surrogate pair/],
    [{ text: "x".repeat(1_100_000) }, /payload|1000000|large/],
  ];
  for (const [payload, why] of cases) await assert.rejects(rouse.enqueue("any", payload), why);
  await assert.rejects(
    rouse.enqueue("any", {}, { headers: { a: "\0" } }),
    /an option of a job of "any" cannot be stored: .*NUL/,
  );
  await assert.rejects(rouse.enqueue("any", {}, { uniqueKey: "a\0" }), /NUL/);

  const fine = { escaped: "\\u0000 \\ud800", emoji: "🐓", nested: [null, { a: [] }], "": 0 };
  const { id } = await rouse.enqueue("any", fine);
  assert.deepEqual((await job(id)).payload, fine);
  for (const value of [null, 0, "", false, []]) {
    assert.deepEqual((await job((await rouse.enqueue("any", value)).id)).payload, value ?? {});
  }
});

test("bad options are refused before anything is sent, naming them", async () => {
  const rouse = rouseWith([]);
  const cases: [options: Record<string, unknown>, message: RegExp][] = [
    [{ dely: 5 }, /unknown option "dely" for a job of "any": options are queue, priority, /],
    [{ runAt: "tomorrow" }, /runAt tomorrow of a job of "any" is not a valid Date/],
    [{ runAt: new Date(Number.NaN) }, /not a valid Date/],
    [{ delay: -1 }, /delay of a job of "any" -1 is not a duration/],
    [{ delay: "soon" }, /"soon" is not a duration/],
    [{ delay: Number.POSITIVE_INFINITY }, /not a duration/],
    [{ timeout: "1 month" }, /timeout of a job of "any" "1 month" is not a duration/],
  ];
  const client: Queryable = { query: () => assert.fail("something was sent") };
  for (const [options, message] of cases) {
    await assert.rejects(rouse.enqueue("any", {}, { ...options, client }), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(rouse.enqueue("any", {}, { delay: 1, runAt: new Date() }), /run_at.*delay|delay.*run_at/);
  await assert.rejects(rouse.enqueue("any", {}, { priority: 101 }), /priority/);
});

test("a unique key that a live job has gives that job, created false", async () => {
  const rouse = rouseWith([]);
  const first = await rouse.enqueue("keyed", {}, { uniqueKey: "k" });
  const second = await rouse.enqueue("keyed", {}, { uniqueKey: "k" });
  assert.deepEqual([first.created, second.id, second.created], [true, first.id, false]);
  const many = await rouse.enqueueMany([
    { task: "keyed", uniqueKey: "k" },
    { task: "keyed", uniqueKey: "other" },
    { task: "keyed", uniqueKey: "other" },
  ]);
  assert.deepEqual(
    many.map(({ created }) => created),
    [false, true, false],
  );
  assert.deepEqual([many[0]!.id, many[2]!.id], [first.id, many[1]!.id]);
});

test("enqueueMany gives handles in the order of its jobs, of none for none", async () => {
  const rouse = rouseWith([]);
  assert.deepEqual(await rouse.enqueueMany([]), []);
  const handles = await rouse.enqueueMany(
    Array.from({ length: 1_000 }, (_, n) => ({ task: `t${n % 3}`, payload: { n } })),
  );
  const rows = await db.query<{ id: number; n: number }>(
    "select id::int, (payload ->> 'n')::int as n from rouse.job where task ~ '^t[012]$' order by 2",
  );
  assert.deepEqual(
    handles.map(({ id }) => id),
    rows.map(({ id }) => id),
  );
});

test("A11: a client is anything with query(text, values), such as a wrapper of an ORM's transaction", async () => {
  const rouse = rouseWith([mail]);
  const client = await db.connect();
  const statements: string[] = [];
  const wrapper: Queryable = {
    async query(text, values = []) {
      statements.push(text);
      const { rows } = await client.query(text, values);
      // Drivers give bigint in different forms.
      return { rows: rows.map((row) => ({ ...row, id: BigInt(row.id) })) };
    },
  };
  await client.query("begin");
  const { id } = await rouse.enqueue(mail, { to: "b" }, { client: wrapper });
  assert.equal(typeof id, "number");
  assert.equal(statements.length, 1);
  await client.query("rollback");
  assert.deepEqual(await db.query("select from rouse.job where id = $1", [id]), []);
});
