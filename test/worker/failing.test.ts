import assert from "node:assert/strict";
import test from "node:test";
import { z } from "zod";
import { type AnyTask, defineTask, PermanentError, RetryError } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, errorsOf, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
const atOnce = { backoff: "fixed", base: 0 } as const;

const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });

/** What is recorded of attempts that throw these. */
async function recorded(thrown: readonly unknown[]): Promise<{ message: string; detail: Record<string, unknown> }[]> {
  const task = defineTask("throwing", {
    payload: z.number(),
    retry: { maxAttempts: 1 },
    run: (index) => {
      throw thrown[index];
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const jobs = await rouse.enqueueMany(thrown.map((_value, payload) => ({ task, payload })));
  for (const { id } of jobs) assert.equal((await finished(id))?.state, "failed");
  return await db.query("select message, detail from rouse.attempt_error where job_id >= $1 order by job_id", [
    jobs[0]!.id,
  ]);
}

test("B9: whatever a handler throws is recorded as what it was", async () => {
  const trap = {
    get message(): string {
      throw new Error("trap");
    },
  };
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const hostile = new Proxy(
    {},
    {
      get() {
        throw new Error("trap");
      },
    },
  );
  const cases: [thrown: unknown, message: RegExp][] = [
    [undefined, /^thrown: undefined$/],
    [null, /^thrown: null$/],
    ["only text", /^thrown: only text$/],
    [42, /^thrown: 42$/],
    [12n, /^thrown: 12$/],
    [Symbol("s"), /^thrown: Symbol\(s\)$/],
    [() => 1, /^thrown: \(\) ?=> ?1$/],
    [{ some: "object" }, /^\{"some":"object"\}$/],
    [Object.freeze(new Error("frozen")), /^frozen$/],
    [cyclic, /^\[object Object\]$/],
    [trap, /cannot be described/],
    [hostile, /cannot be described/],
    [new Error("NUL \0 and half \ud800 of a pair"), /^NUL \\0 and half \ufffd of a pair$/],
    [new Error("x".repeat(10_000_000)), /^x{10000}… \(10000000 characters\)$/],
  ];
  const errors = await recorded(cases.map(([thrown]) => thrown));
  for (const [index, [, message]] of cases.entries()) assert.match(errors[index]!.message, message);
});

test("B9: of an error its name, code, stack and causes are recorded", async () => {
  const error = Object.assign(new TypeError("outer", { cause: new Error("inner") }), { code: "E_TEST" });
  const [row] = await recorded([error]);
  assert.equal(row!.message, "outer");
  const { stack, cause, ...others } = row!.detail;
  assert.deepEqual(others, { name: "TypeError", code: "E_TEST" });
  assert.match(String(stack), /failing\.test/);
  assert.equal((cause as Record<string, unknown>).message, "inner");
});

test("B9: a handler that throws at once, rejects or returns a thenable that throws harms no other job", async () => {
  const fails = (name: string, run: () => unknown) => defineTask(name, { retry: { maxAttempts: 1 }, run });
  const tasks: AnyTask[] = [
    fails("throws", () => {
      throw new Error("at once");
    }),
    fails("rejects", () => Promise.reject(new Error("later"))),
    fails("thenable", () => ({
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
      then() {
        throw new Error("in then");
      },
    })),
  ];
  const good = defineTask("good", { run: () => "fine" });
  const rouse = rouseWith([...tasks, good]);
  await rouse.startWorker({ concurrency: 2 });
  const jobs = await rouse.enqueueMany([good, ...tasks, good].map((task) => ({ task })));
  const states = await Promise.all(jobs.map(async ({ id }) => (await finished(id))?.state));
  assert.deepEqual(states, ["succeeded", "failed", "failed", "failed", "succeeded"]);
});

test("A9: PermanentError, and any error of its kind, ends the job; RetryError says when the next attempt is due", async () => {
  class CardExpired extends PermanentError {
    override name = "CardExpired";
  }
  const tries = new Tally<number>();
  const permanent = defineTask("permanent", {
    run: () => {
      throw new CardExpired("no use");
    },
  });
  const later = defineTask("later", {
    run: (_payload, ctx) => {
      tries.add(performance.now());
      if (ctx.job.attempt === 1) throw new RetryError("in a moment", 400);
      if (ctx.job.attempt === 2) throw new RetryError("at once", new Date(0));
    },
  });
  const rouse = rouseWith([permanent, later]);
  await rouse.startWorker();
  const [ended, retried] = await rouse.enqueueMany([{ task: permanent }, { task: later }]);
  assert.deepEqual([(await finished(ended!.id))?.state, (await finished(ended!.id))?.attempt], ["failed", 1]);
  assert.deepEqual([(await finished(retried!.id))?.state, (await finished(retried!.id))?.attempt], ["succeeded", 3]);
  const [first, second, third] = tries.all;
  // Left to its policy it would wait for five seconds, less what is random.
  assert.ok(second! - first! >= 395 && second! - first! < 3_900, `${second! - first!} ms`);
  assert.ok(third! - second! < 3_900, `${third! - second!} ms`);
  assert.throws(() => new RetryError("when?", new Date(Number.NaN)), /invalid Date/);
  assert.throws(() => new RetryError("when?", "soon"), /not a duration/);
});

test("A16: a stored payload that does not fit its schema consumes the attempts and ends failed, its handler never called", async () => {
  const calls = new Tally<unknown>();
  const strict = defineTask("strict", {
    payload: z.object({ userId: z.number().int() }),
    retry: { ...atOnce, maxAttempts: 3 },
    run: (payload) => calls.add(payload),
  });
  const rouse = rouseWith([strict]);
  await rouse.startWorker();
  const [bad] = await db.query<{ id: number }>(`select rouse.enqueue('strict', '{"userId": "one"}')::int as id`);
  const { id } = await rouse.enqueue(strict, { userId: 1 });
  assert.deepEqual([(await finished(bad!.id))?.state, (await finished(bad!.id))?.attempt], ["failed", 3]);
  assert.match((await errorsOf(db, bad!.id))[0]!, /stored payload of task "strict" does not fit its schema: userId: /);
  await finished(id);
  assert.deepEqual(calls.all, [{ userId: 1 }]);
});

test("A16: transforms of the schema run in the worker; the input is what is stored", async () => {
  const got = new Latch<Date>();
  const task = defineTask("dated", {
    payload: z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }),
    run: ({ at }) => got.open(at),
  });
  const rouse = rouseWith([task]);
  const { id } = await rouse.enqueue(task, { at: "2026-01-02T03:04:05Z" });
  const [stored] = await db.query("select payload from rouse.job where id = $1", [id]);
  assert.deepEqual(stored?.payload, { at: "2026-01-02T03:04:05Z" });
  await rouse.startWorker();
  assert.deepEqual(await got.opened, new Date("2026-01-02T03:04:05Z"));
});

test("B12: a job whose row is deleted while it runs harms nothing", async () => {
  const running = new Tally<number>();
  const finish = new Latch();
  const task = defineTask("purged", {
    run: (_payload, ctx) => {
      running.add(ctx.job.id);
      return finish.opened;
    },
  });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  const [purged, deleted, kept] = await rouse.enqueueMany([{ task }, { task }, { task }]);
  await running.reach(3);
  await db.query("select rouse.purge($1)", [purged!.id]);
  await db.query("delete from rouse.job where id = $1", [deleted!.id]);
  finish.open();
  assert.equal((await finished(kept!.id))?.state, "succeeded");
  await worker.drained();
  assert.equal(rouse.log.matching(/^the end of an attempt came too late/).length, 2);
  assert.equal(await archived(db, purged!.id), undefined);
});

test("A15: results are kept, whatever they are; what cannot be kept does not make a job fail", async () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const results = new Map<string, [returned: unknown, kept: unknown]>([
    ["object", [{ a: [1, "ü"] }, { a: [1, "ü"] }]],
    ["string", ["text", "text"]],
    ["false", [false, false]],
    ["zero", [0, 0]],
    ["null", [null, null]],
    ["undefined", [undefined, null]],
    ["written escape", ["\\u0000", "\\u0000"]],
    ["bigint", [1n, null]],
    ["cyclic", [cyclic, null]],
    ["function", [() => 1, null]],
    ["NUL", ["a\0b", null]],
    ["half a pair", ["\ud800", null]],
    ["10 MB", ["x".repeat(10_000_000), null]],
  ]);
  const task = defineTask("result", {
    payload: z.string(),
    run: (name) => {
      const [returned] = results.get(name)!;
      return returned;
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const jobs = await rouse.enqueueMany([...results.keys()].map((payload) => ({ task, payload })));
  for (const [index, [name, [, kept]]] of [...results].entries()) {
    const job = await finished(jobs[index]!.id);
    assert.deepEqual([name, job?.state, job?.attempt], [name, "succeeded", 1]);
    assert.deepEqual(job?.result, kept, name);
  }
  assert.equal(rouse.log.matching(/^the result was not kept/).length, 6);
});

test("A15: a result that changes after it was returned is kept as it was", async () => {
  const task = defineTask("shared", {
    run: () => {
      const shared: { n: number; self?: unknown } = { n: 1 };
      // Before it is sent.
      setImmediate(() => {
        shared.self = shared;
      });
      return shared;
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const { id } = await rouse.enqueue(task);
  assert.deepEqual((await finished(id))?.result, { n: 1 });
});

test("B26: an end that the server refuses spoils no other in its batch, and what was done stays done", async () => {
  await db.query(
    `create function refuse_result() returns trigger language plpgsql as $$
     begin
       if new.result = '"refused"' then
         raise exception using errcode = '22023', message = 'this result is refused';
       end if;
       return new;
     end;
     $$`,
  );
  await db.query("create trigger refuse before insert on rouse.archive for each row execute function refuse_result()");
  const all = new Latch();
  const task = defineTask("refused", {
    payload: z.string(),
    run: async (result) => {
      await all.opened;
      return result;
    },
  });
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  const results = ["kept", "refused", "kept too"];
  const jobs = await rouse.enqueueMany(results.map((payload) => ({ task, payload })));
  await until(() => worker.running === 3, { message: "all run" });
  all.open();
  const ended = await Promise.all(jobs.map(({ id }) => finished(id)));
  assert.deepEqual(
    ended.map((job) => [job?.state, job?.attempt, job?.result]),
    [
      ["succeeded", 1, "kept"],
      ["succeeded", 1, null],
      ["succeeded", 1, "kept too"],
    ],
  );
  assert.equal(rouse.log.matching(/^cannot get through/).length, 0);
  assert.equal(rouse.log.matching(/^the database refused how an attempt ended/).length, 1);
});
