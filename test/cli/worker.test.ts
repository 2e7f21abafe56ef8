import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, before, test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { project, type Running, rouse, startRouse, write } from "./support.ts";

const database = testDatabase();
let folder: string;

const TASKS = `
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { defineTask } from "rouse";

const attempts = { retry: { backoff: ["1 day"] } };

export const quick = defineTask("quick", { run() { return "done"; } });
export const slow = defineTask("slow", {
  async run(_, ctx) {
    ctx.log.info("slow begins");
    while (!existsSync("end")) await sleep(20);
  },
});
export const endless = defineTask("endless", {
  async run(_, ctx) {
    ctx.log.info("endless begins");
    await new Promise(() => setInterval(() => {}, 1_000));
  },
});
export const floating = defineTask("floating", {
  async run() {
    void Promise.reject(new Error("nobody awaits me"));
    await sleep(50);
  },
});
export const odd = defineTask("odd", { ...attempts, run() { throw undefined; } });
export const uncaught = defineTask("uncaught", {
  ...attempts,
  async run() {
    setTimeout(() => { throw new Error("thrown into the void"); });
    await sleep(200);
  },
});
export const exits = defineTask("exits", { ...attempts, run() { process.exit(7); } });
export default [defineTask("listed", { run() {} })];
`;

before(async () => {
  folder = await project({ "tasks.ts": TASKS });
});

/** Lets the slow task end that runs. */
const endSlow = () => write(folder, { end: "" });
afterEach(() => rm(join(folder, "end"), { force: true }));

function start(...args: string[]): Running {
  const environment = { DATABASE_URL: database.url, ROUSE_LOG_FORMAT: "text" };
  return startRouse(["worker", ...args], { folder, environment });
}

async function enqueue(task: string, queue = "default"): Promise<string> {
  const [row] = await database.query<{ id: string }>("select rouse.enqueue($1, queue => $2) as id", [task, queue]);
  return row!.id;
}

async function state(id: string): Promise<unknown> {
  const [row] = await database.query("select state from rouse.jobs where id = $1", [id]);
  return row?.state;
}

async function workers(): Promise<number> {
  return (await database.query("select from rouse.workers")).length;
}

test("A19: --once does what is ready, of every queue it serves, and exits with 0", async () => {
  const ids = [await enqueue("quick"), await enqueue("listed"), await enqueue("odd")];
  const other = await enqueue("quick", "other");
  const { code, stderr, stdout } = await start("--once", "--queues", "default").exited;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /nothing is left to do/);
  assert.deepEqual(await Promise.all(ids.map(state)), ["succeeded", "succeeded", "scheduled"]);
  assert.equal(await state(other), "ready");
  assert.equal(await workers(), 0);
});

test("A19: --max-time ends a worker that would go on", async () => {
  const { code, stderr } = await start("--max-time", "100ms").exited;
  assert.match(stderr, /the time for this worker is over/);
  assert.equal(code, 0, stderr);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`A12: the first ${signal} lets running jobs end, takes no new ones, and exits with 0`, async () => {
    const worker = start("--concurrency", "1");
    const id = await enqueue("slow");
    await worker.says("slow begins");
    const next = await enqueue("slow");
    worker.kill(signal);
    await worker.says(`${signal}: 1 running, again to stop now`);
    await endSlow();
    const { code, stderr } = await worker.exited;
    assert.equal(code, 0, stderr);
    assert.deepEqual([await state(id), await state(next)], ["succeeded", "ready"]);
    assert.equal(await workers(), 0);
    await database.query("select rouse.purge($1)", [next]);
  });
}

test("A12: an idle worker stops at once", async () => {
  const worker = start();
  await worker.says("worker started");
  worker.kill("SIGTERM");
  const { code, stderr } = await worker.exited;
  assert.match(stderr, /SIGTERM: stopping/);
  assert.equal(code, 0);
});

test("A12: a worker that waits for a lock as it starts stops all the same", async () => {
  const client = await database.connect();
  await client.query("begin");
  await client.query("lock table rouse.task");
  const worker = start();
  await until(
    async () =>
      (
        await database.query(
          "select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())",
        )
      ).length > 0,
    {
      message: "it waits for the lock",
    },
  );
  worker.kill("SIGTERM");
  const { code, stderr } = await worker.exited;
  await client.query("rollback");
  assert.match(stderr, /SIGTERM: stopping/);
  assert.equal(code, 0, stderr);
});

test("A12: a second signal ends at once, with the signal's code", async () => {
  const worker = start();
  const id = await enqueue("endless");
  await worker.says("endless begins");
  worker.kill("SIGINT");
  await worker.says("1 running, again to stop now");
  worker.kill("SIGINT");
  const { code, stderr } = await worker.exited;
  assert.match(stderr, /SIGINT: stopping now; 1 running jobs will run again/);
  assert.equal(code, 130);
  await database.query("select rouse.purge($1)", [id]);
});

test("A12: when the grace is over running jobs go back, their attempt uncounted", async () => {
  const worker = start("--grace", "100ms");
  const id = await enqueue("endless");
  await worker.says("endless begins");
  worker.kill("SIGTERM");
  const { code } = await worker.exited;
  assert.equal(code, 0);
  const [row] = await database.query("select state, attempt from rouse.job where id = $1", [id]);
  assert.deepEqual(row, { state: "ready", attempt: 0 });
  await database.query("select rouse.purge($1)", [id]);
});

test("B9: a rejection that nobody handles is logged, and harms neither its job nor others", async () => {
  const [floating, quick] = [await enqueue("floating"), await enqueue("quick")];
  const { code, stderr } = await start("--once").exited;
  assert.match(stderr, /ERROR a promise was rejected and nobody handled it .*nobody awaits me/);
  assert.equal(code, 0);
  assert.deepEqual([await state(floating), await state(quick)], ["succeeded", "succeeded"]);
});

test("B9: an error that nobody catches is logged, running jobs end, and the exit code is 1", async () => {
  const worker = start();
  const slow = await enqueue("slow");
  await worker.says("slow begins");
  const uncaught = await enqueue("uncaught");
  await worker.says("an error that nobody caught; stopping");
  await endSlow();
  const { code, stderr } = await worker.exited;
  assert.match(stderr, /ERROR an error that nobody caught; stopping .*thrown into the void/);
  assert.equal(code, 1);
  assert.deepEqual([await state(slow), await state(uncaught)], ["succeeded", "succeeded"]);
});

test("B9: a handler that calls process.exit loses no job", async () => {
  const worker = start();
  await until(async () => (await database.query("select from rouse.worker where holds_lock")).length > 0, {
    message: "the worker's heart beats",
  });
  // Until ten seconds after a server's start nobody is taken for dead.
  await database.query(
    `insert into rouse.server_run (started_at, first_beat_at)
    values (pg_postmaster_start_time(), now() - interval '1 minute')
    on conflict do nothing`,
  );
  const id = await enqueue("exits");
  const { code } = await worker.exited;
  assert.equal(code, 7);
  // It gives the job back, and does not take it itself.
  const successor = start("--queues", "other");
  await until(async () => (await state(id)) === "ready", { message: "the job was given back" });
  successor.kill("SIGTERM");
  await successor.exited;
  await database.query("select rouse.purge($1)", [id]);
});

test("A17: jobs of a task that no worker knows stay queued", async () => {
  const id = await enqueue("unknown");
  const { code } = await start("--once").exited;
  assert.equal(code, 0);
  assert.equal(await state(id), "ready");
});

test("B14: a worker that had been connected keeps trying, and works on", async () => {
  const worker = start();
  await worker.says("worker started");
  await database.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'rouse%'",
  );
  const id = await enqueue("quick");
  await until(async () => (await state(id)) === "succeeded", { message: "the job is done" });
  worker.kill("SIGTERM");
  const { code } = await worker.exited;
  assert.equal(code, 0);
});

test("logs are one JSON object a line where nobody reads them on a terminal", async () => {
  const environment = { DATABASE_URL: database.url, ROUSE_NAME: "ada" };
  const { stderr, stdout } = await rouse(["worker", "--once"], { folder, environment });
  const lines = stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ level, message, worker }) => [level, message, worker]),
    [
      ["info", "worker started", "ada"],
      ["info", "nothing is left to do", undefined],
      ["info", "worker stopped", "ada"],
    ],
  );
  assert.equal(stdout, "");
});
