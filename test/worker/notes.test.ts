import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { defineTask, type JobContext } from "../../src/index.ts";
import type { ClaimedJob } from "../../src/worker/job.ts";
import { type Note, Notes } from "../../src/worker/notes.ts";
import { testDatabase } from "../support/database.ts";
import { listen } from "../support/engine.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";
import { until } from "../support/until.ts";
import { archived, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });
const linesOf = (id: number) =>
  db.query("select attempt, level, message, fields from rouse.job_log where job_id = $1 order by logged_at, ctid", [
    id,
  ]);
const job = { id: 1, lease: "l" } as ClaimedJob;

test("A15: progress and log of a handler are visible while it runs, and the lines are kept with the job", async () => {
  const [begun, gate] = [new Latch(), new Latch()];
  const task = defineTask("reporting", {
    async run(_payload, { progress, log }) {
      progress(0.4, "4,000 of 10,000");
      log.info("reading", { file: "a.csv", error: new RangeError("x") });
      begun.open();
      await gate.opened;
      log.warn("nearly done");
      log.debug("for the process alone");
    },
  });
  const rouse = rouseWith([task]);
  await rouse.startWorker();
  const ear = await listen(db);
  const { id } = await rouse.enqueue(task);
  await begun.opened;
  const progress = "select progress from rouse.jobs where id = $1 and progress is not null";
  const row = await until(async () => (await db.query(progress, [id]))[0], { message: "the progress is visible" });
  assert.deepEqual(row, { progress: "40 % 4,000 of 10,000" });
  assert.equal((await linesOf(id)).length, 1);
  assert.ok((await ear.heard()).some(({ progress: ids }) => Array.isArray(ids) && ids.includes(id)));
  gate.open();
  await finished(id);
  const [first, second, ...more] = await linesOf(id);
  const { fields, ...rest } = first!;
  assert.deepEqual(rest, { attempt: 1, level: "info", message: "reading" });
  assert.equal((fields as Record<string, unknown>).file, "a.csv");
  assert.match(String((fields as Record<string, unknown>).error), /RangeError: x\n/);
  assert.deepEqual([second, more], [{ attempt: 1, level: "warn", message: "nearly done", fields: null }, []]);
  const logged = rouse.log.matching(/^reading$/)[0]!;
  assert.deepEqual([logged.fields.job, logged.fields.task], [id, "reporting"]);
});

test("A15: lines are kept however the attempt ends: by an error, in its transaction, or after that was rolled back", async () => {
  const endings: Record<string, (ctx: JobContext) => Promise<unknown>> = {
    throwing: () => Promise.reject(new Error("no")),
    committing: (ctx) => ctx.transaction(async () => ctx.log.info("within")),
    failing: (ctx) =>
      ctx.transaction(async (client) => {
        ctx.log.info("within");
        await client.query("select 1 / 0");
      }),
  };
  const tasks = Object.entries(endings).map(([name, end]) =>
    defineTask(name, {
      retry: { maxAttempts: 1 },
      async run(_payload, ctx) {
        ctx.log.info("begun");
        await end(ctx);
      },
    }),
  );
  const rouse = rouseWith(tasks);
  await rouse.startWorker();
  const expected = { throwing: ["begun"], committing: ["begun", "within"], failing: ["begun", "within"] };
  for (const task of tasks) {
    const { id } = await rouse.enqueue(task);
    await finished(id);
    const lines = (await linesOf(id)).map(({ message }) => message);
    assert.deepEqual(lines, expected[task.name as keyof typeof expected], task.name);
  }
});

test("any number of reports cost one write a second", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const writes = new Tally<readonly Note[]>();
  const notes = new Notes({
    log: new TestLog(),
    write: async (all) => {
      writes.add(all);
      return [];
    },
  });
  const attempts = [1, 2, 3].map((id) => notes.of({ ...job, id }));
  for (let ms = 0; ms < 3_000; ms += 10) {
    for (const attempt of attempts) attempt.progress(ms / 3_000);
    now += 10;
    t.mock.timers.tick(10);
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
  }
  assert.ok(writes.all.length >= 3 && writes.all.length <= 4, `${writes.all.length} writes`);
  assert.ok(writes.all.every((all) => all.length === 3));
  notes.close();
});

test("what could not be written is written the next time, newer progress first", async () => {
  const written = new Tally<readonly Note[]>();
  let fail = true;
  const tried = new Latch();
  const notes = new Notes({
    log: new TestLog(),
    write: async (all) => {
      if (fail) {
        fail = false;
        attempt.progress(0.2);
        attempt.line("info", "second");
        tried.open();
        throw new Error("no connection");
      }
      written.add(all);
      return [];
    },
  });
  const attempt = notes.of(job);
  attempt.progress(0.1);
  attempt.line("info", "first");
  await tried.opened;
  const [[note]] = (await written.reach(1)) as [[Note]];
  assert.equal(note.progress, 0.2);
  assert.deepEqual(
    note.log.map(({ message }) => message),
    ["first", "second"],
  );
  notes.close();
});

test("A15: the end of an attempt waits for what it said before, and has it with it where it did not get there", async () => {
  for (const gets of ["there", "busy", "fails"]) {
    const [writing, gate] = [new Latch(), new Latch()];
    const notes = new Notes({
      log: new TestLog(),
      write: async () => {
        writing.open();
        await gate.opened;
        if (gets === "fails") throw new Error("no connection");
        return gets === "busy" ? [job.id] : [];
      },
    });
    const attempt = notes.of(job);
    attempt.line("info", "first");
    await writing.opened;
    attempt.line("info", "second");
    let last: Note | undefined | "on its way" = "on its way";
    const closing = Promise.resolve(attempt.close()).then((note) => {
      last = note;
    });
    await sleep(1);
    assert.equal(last, "on its way");
    gate.open();
    await closing;
    const { log } = last as unknown as Note;
    assert.deepEqual(
      log.map(({ message }) => message),
      gets === "there" ? ["second"] : ["first", "second"],
    );
    notes.close();
  }
});

test("A15: what an attempt said last is kept once, though its end has to wait for a locked row", async () => {
  const locking = await db.connect();
  for (const lock of ["no key update", "update"]) {
    for (const commits of [false, true]) {
      const task = defineTask("waiting", {
        async run(_payload, ctx) {
          await sleep(5);
          await locking.query("begin");
          await locking.query(`select from rouse.job where id = $1 for ${lock}`, [ctx.job.id]);
          ctx.log.info("last");
          if (commits) await ctx.transaction(async () => {});
        },
      });
      const rouse = rouseWith([task]);
      const worker = await rouse.startWorker();
      const { id } = await rouse.enqueue(task);
      // The end is tried several times meanwhile.
      await rouse.log.next(/^last$/);
      await sleep(400);
      await locking.query("commit");
      await finished(id);
      assert.deepEqual(
        (await linesOf(id)).map(({ message }) => message),
        ["last"],
        `locked for ${lock}${commits ? ", in a transaction" : ""}`,
      );
      await worker.stop();
    }
  }
});

test("an attempt keeps a thousand lines, and nothing after its end", async () => {
  const notes = new Notes({ log: new TestLog(), write: () => sleep(0, []) });
  const attempt = notes.of(job);
  for (let n = 0; n < 1_500; n++) attempt.line("info", `line ${n}`);
  const { log } = (await attempt.close())!;
  assert.equal(log.length, 1_001);
  assert.match(log.at(-1)!.message, /after the first 1000 of an attempt are not kept/);
  attempt.line("info", "late");
  attempt.progress(1);
  assert.equal(attempt.take(), undefined);
  notes.close();
});

test("what cannot be stored is left out, and a share that is none is refused", () => {
  const notes = new Notes({ log: new TestLog(), write: async () => [] });
  const attempt = notes.of(job);
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  attempt.line("info", "NUL \0", { n: 1n });
  attempt.line("info", "x".repeat(3_000), circular);
  attempt.line("info", "many", { text: "x".repeat(3_000) });
  const { log } = attempt.take()!;
  assert.deepEqual(log[0]!.fields, { n: "1" });
  assert.equal(log[0]!.message, "NUL \\0");
  assert.match(log[1]!.message, /^x{2000}… \(3000 characters\)$/);
  assert.match(String((log[1]!.fields as Record<string, unknown>).omitted), /circular/);
  assert.match(String((log[2]!.fields as Record<string, unknown>).omitted), /3\d{3} characters of fields/);
  for (const share of [Number.NaN, -0.1, 40, "0.5", undefined]) {
    assert.throws(() => attempt.progress(share as number), /is not a number from 0 to 1/);
  }
  attempt.progress(1.0000000001);
  assert.equal(attempt.take()!.progress, 1);
  notes.close();
});
