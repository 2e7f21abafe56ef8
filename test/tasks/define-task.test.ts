import assert from "node:assert/strict";
import test from "node:test";
import { z } from "zod";
import { type AnyTask, ConfigError, defineTask } from "../../src/index.ts";
import { isTask } from "../../src/tasks/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { useRouse } from "../worker/support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
const run = () => {};

const rowOf = async (task: AnyTask) => {
  const worker = await rouseWith([task]).startWorker({ queues: ["none"] });
  await worker.stop();
  const [row] = await db.query(
    `select *, extract(epoch from backoff_base)::float as base, extract(epoch from backoff_cap)::float as cap,
            extract(epoch from keep_succeeded)::float as keeps, backoff_list::text as list
     from rouse.task where name = $1`,
    [task.name],
  );
  return row!;
};

test("a task's options become its row, which SQL users read", async () => {
  const full = await rowOf(
    defineTask("full", {
      payload: z.object({ to: z.string(), at: z.iso.datetime().transform((text) => new Date(text)) }),
      queue: "mails",
      priority: -5,
      delay: "10s",
      retry: { maxAttempts: 4, backoff: "linear", base: "2s", cap: "1m", jitter: 0 },
      timeout: "30s",
      keep: { succeeded: "2 days", failed: 0 },
      aliases: ["former"],
      run,
    }),
  );
  assert.deepEqual(
    [
      full.queue,
      full.priority,
      full.max_attempts,
      full.backoff,
      full.base,
      full.cap,
      full.jitter,
      full.keeps,
      full.aliases,
    ],
    ["mails", -5, 4, "linear", 2, 60, 0, 172800, ["former"]],
  );
  // The contract is what is stored: text, not the Date that the handler gets.
  const schema = full.payload_schema as { properties: Record<string, { type: string }>; required: string[] };
  assert.equal(schema.properties.at?.type, "string");
  assert.deepEqual(schema.required, ["to", "at"]);
});

test("what a task leaves out are the defaults; declared again, it is as it says now", async () => {
  const bare = await rowOf(defineTask("bare", { run }));
  assert.deepEqual(
    [bare.queue, bare.priority, bare.max_attempts, bare.backoff, bare.base, bare.cap, bare.keeps, bare.payload_schema],
    ["default", 0, 10, "exponential", 5, 3600, 86400, null],
  );
  const listed = await rowOf(defineTask("bare", { retry: { backoff: ["1s", 2500, "1m"] }, run }));
  assert.deepEqual([listed.backoff, listed.list], ["list", "{00:00:01,00:00:02.5,00:01:00}"]);
  assert.equal((await rowOf(defineTask("bare", { run }))).backoff, "exponential");
});

test("bad tasks are refused where they are defined, saying what is wrong", () => {
  const cases: [name: unknown, options: unknown, message: RegExp][] = [
    ["", { run }, /task name "" is not a string of 1 to 200 characters/],
    ["x".repeat(201), { run }, /\(203 characters\) is not a string/],
    [5, { run }, /task name 5 /],
    ["a", {}, /task "a" has no run function/],
    ["a", undefined, /task "a" has no run function/],
    ["a", { run, retrys: 3 }, /unknown option "retrys" for task "a": options are payload, queue, /],
    ["a", { run, retry: { attempts: 3 } }, /unknown option "attempts" for the retry of task "a"/],
    ["a", { run, priority: 101 }, /priority 101 is not a whole number from -100 to 100/],
    ["a", { run, timeout: 0 }, /timeout is 0: leave it out/],
    ["a", { run, delay: "-1s" }, /task "a": delay "-1s" is not a duration/],
    ["a", { run, queue: "" }, /task "a": "" is not a name/],
    ["a", { run, aliases: ["x".repeat(10_000)] }, /\(10002 characters\) is not a name/],
    ["a", { run, retry: { maxAttempts: 0 } }, /retry.maxAttempts 0/],
    ["a", { run, retry: { jitter: 2 } }, /retry.jitter 2 is not between 0 and 1/],
    ["a", { run, retry: { backoff: "quadratic" } }, /retry.backoff "quadratic" is not known/],
    ["a", { run, retry: { backoff: [] } }, /retry.backoff is an empty list/],
    ["a", { run, retry: { backoff: ["1s", "soon"] } }, /retry.backoff "soon" is not a duration/],
    ["a", { run, payload: {} }, /its payload is not a schema/],
    ["a", { run, payload: z.object({ at: z.date() }) }, /has a type that JSON cannot carry \(.*[Dd]ate/],
    ["a", { run, payload: z.object({ n: z.bigint() }) }, /has a type that JSON cannot carry/],
  ];
  for (const [name, options, message] of cases) {
    assert.throws(
      () => defineTask(name as string, options as { run: () => void }),
      (error) => error instanceof ConfigError && message.test(error.message),
      `${String(name).slice(0, 20)} ${JSON.stringify(options)}`,
    );
  }
});

test("a task is told by its mark, not by its class", () => {
  assert.ok(isTask(defineTask("a", { run })));
  assert.ok(isTask({ [Symbol.for("rouse.task")]: true }));
  for (const other of [undefined, null, 5, "a", {}, run]) assert.ok(!isTask(other));
});
