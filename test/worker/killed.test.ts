import assert from "node:assert/strict";
import test, { afterEach } from "node:test";
import type { Worker as Thread } from "node:worker_threads";
import { z } from "zod";
import { type AnyTask, defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { Child } from "./fork.ts";
import { archived, beats, errorsOf, settle, shortLease, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);

const children: Child[] = [];
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.kill()));
});

async function startChild(concurrency = 10): Promise<Child> {
  const child = await Child.start({ url: db.url, concurrency });
  children.push(child);
  return child;
}

const enqueue = async (task: string, payload: unknown = {}) =>
  (await db.query<{ id: number }>("select rouse.enqueue($1, $2)::int as id", [task, JSON.stringify(payload)]))[0]!.id;
const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });

/** The tasks of the child, which here end at once. */
function rescuers(names: string[]) {
  const runs = new Tally<{ id: number; attempt: number }>();
  const tasks: AnyTask[] = names.map((name) =>
    defineTask(name, {
      payload: z.unknown(),
      run: (_payload, { job: { id, attempt } }) => {
        runs.add({ id, attempt });
        return "rescued";
      },
    }),
  );
  return { runs, tasks };
}

test("B7: after kill -9 of a worker, all others idle, its jobs run again within 5 s, and nobody else's do", async () => {
  await settle(db);
  const child = await startChild(5);
  const elsewhere = new Latch();
  const long = defineTask("long", { run: () => elsewhere.opened });
  const bystander = rouseWith([long]);
  await bystander.startWorker();
  const longRunning = await bystander.enqueue(long);
  const ids = await Promise.all(Array.from({ length: 5 }, () => enqueue("held")));
  await child.began.reach(5);
  const { runs, tasks } = rescuers(["held"]);
  const { name } = await rouseWith(tasks).startWorker({ name: "rescuer" });
  await child.kill();
  const then = await beats(db, name);
  await runs.reach(5);
  // 5 s is the promise, three beats; a lease takes eleven at least. The chaos run prints how long it takes.
  const took = (await beats(db, name)) - then;
  assert.ok(took <= 8, `${took} beats`);
  for (const id of ids) {
    assert.deepEqual([(await finished(id))?.state, (await finished(id))?.attempt], ["succeeded", 2]);
    assert.match((await errorsOf(db, id))[0]!, /^worker ".+" died or vanished during this attempt$/);
  }
  elsewhere.open();
  assert.equal((await finished(longRunning.id))?.attempt, 1);
});

test("B7: kill -9 under load: every job is run, those of others once", async () => {
  await settle(db);
  const child = await startChild(10);
  const { runs, tasks } = rescuers(["quick", "held"]);
  const rouse = rouseWith(tasks);
  const worker = await rouse.startWorker();
  const ids = [await enqueue("held"), await enqueue("held"), await enqueue("held")];
  const held = new Set([...child.began.all, ...runs.all.map(({ id }) => id)]);
  await until(() => child.began.all.length + runs.all.length >= 3, { message: "the first jobs run" });
  await db.query("insert into rouse.job (task) select 'quick' from generate_series(1, 20000)");
  await until(async () => runs.all.length > 2_000, { message: "the load is under way" });
  await child.kill();
  const left = async () => (await db.query("select count(*)::int as n from rouse.job"))[0]?.n;
  await until(async () => (await left()) === 0, { message: "nothing is left" });
  await worker.drained();
  for (const id of ids) assert.equal((await finished(id))?.state, "succeeded");
  assert.ok(held.size <= 3);
});

test("B7, B8: jobs of a frozen process run elsewhere after the lease; thawed, it finds its attempts aborted and works on. A handler that computes for longer than the lease loses nothing (for 60 s: npm run test:minute)", async () => {
  await settle(db);
  await shortLease(db);
  const [frozen, computing] = await Promise.all([startChild(5), startChild(1)]);
  const computes = await enqueue("computing", 7_000);
  await until(() => frozen.began.all.length + computing.began.all.length === 1, { message: "one computes" });
  // Whichever has taken it, the other one is frozen.
  const [cold, hot] = frozen.began.all.length === 0 ? [frozen, computing] : [computing, frozen];
  const id = await enqueue("held");
  await cold.began.reach(1);
  const { runs, tasks } = rescuers(["held"]);
  const { name } = await rouseWith(tasks).startWorker({ name: "rescuer" });
  cold.process.kill("SIGSTOP");
  const then = await beats(db, name);
  const [run] = await runs.reach(1);
  assert.deepEqual([run!.id, run!.attempt], [id, 2]);
  // A lease is six beats; the default one would be 36.
  const took = (await beats(db, name)) - then;
  assert.ok(took <= 18, `${took} beats`);
  cold.process.kill("SIGCONT");
  assert.deepEqual(await cold.aborted.reach(1), [id]);
  const job = await finished(id);
  assert.deepEqual([job?.state, job?.attempt, job?.result], ["succeeded", 2, "rescued"]);
  const computed = await finished(computes);
  assert.deepEqual([computed?.attempt, computed?.result], [1, "computed"]);
  assert.ok(!hot.logged.all.some((line) => /taken for dead|lost|not listening/.test(line)), hot.logged.all.join("\n"));
  assert.ok(cold.logged.all.some((line) => /taken for dead/.test(line)));
  // It has a new row, and works.
  const next = await enqueue("computing", 1);
  assert.equal((await finished(next))?.attempt, 1);
});

for (const task of ["exits", "unhandled", "uncaught"]) {
  test(`B9: a handler that ${task === "exits" ? "calls process.exit" : `leaves an ${task} error`} takes its process along; all its jobs are recovered`, async () => {
    await settle(db);
    const child = await startChild();
    const held = await enqueue("held");
    await child.began.reach(1);
    const id = await enqueue(task);
    await child.exited;
    const { tasks } = rescuers([task, "held"]);
    await rouseWith(tasks).startWorker();
    for (const lost of [held, id]) {
      assert.deepEqual([(await finished(lost))?.attempt, (await finished(lost))?.result], [2, "rescued"]);
    }
  });
}

test("B7: a job that kills its workers ends failed after its attempts, with that said", async () => {
  await settle(db);
  const first = await startChild();
  const [row] = await db.query<{ id: number }>("select rouse.enqueue('exits', max_attempts => 2)::int as id");
  await first.exited;
  const second = await startChild();
  await second.exited;
  const { tasks, runs } = rescuers(["exits"]);
  await rouseWith(tasks).startWorker();
  assert.equal((await finished(row!.id))?.state, "failed");
  assert.equal((await errorsOf(db, row!.id)).length, 2);
  assert.match((await errorsOf(db, row!.id))[1]!, /died or vanished/);
  assert.equal(runs.all.length, 0);
});

test("B7: a heartbeat thread that fails is started again in time for the worker to keep its jobs", async () => {
  await settle(db);
  await shortLease(db);
  const threads: Thread[] = [];
  const onThread = (thread: Thread) => threads.push(thread);
  process.on("worker", onThread);
  const finish = new Latch();
  const running = new Latch();
  const task = defineTask("long", {
    run: async () => {
      running.open();
      await finish.opened;
    },
  });
  const rouse = rouseWith([task]);
  try {
    await rouse.startWorker();
  } finally {
    process.off("worker", onThread);
  }
  const watcher = rouseWith([]);
  await watcher.startWorker();
  const { id } = await rouse.enqueue(task);
  await running.opened;
  await threads[0]!.terminate();
  await rouse.log.line(/^the heartbeat thread failed; starting it again/);
  const before = await beats(db);
  await until(async () => (await beats(db)) > before + 12, { message: "both have beaten some six times" });
  finish.open();
  assert.equal((await finished(id))?.attempt, 1);
});
