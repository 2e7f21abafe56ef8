import assert from "node:assert/strict";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import { watchWorker } from "../../src/cli/worker/watch-worker.ts";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { endAfterTests, isRunning, project, type Running, startRouse, write } from "./support.ts";

const database = testDatabase();

/** A task that says a word, and takes as long as it is told. */
const says = (word: string) => `
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { defineTask } from "rouse";
import { word } from "./word";

export const say = defineTask("say", {
  payload: z.object({ ms: z.number() }),
  async run({ ms }, ctx) {
    ctx.log.info(\`begins \${word} ${word}\`);
    await sleep(ms);
    ctx.log.info("ends");
  },
});
`;

const word = (text: string) => ({ "word.ts": `export const word = "${text}";\n` });

function watch(folder: string): Running {
  const environment = { DATABASE_URL: database.url, ROUSE_LOG_FORMAT: "text" };
  return startRouse(["worker", "--watch"], { folder, environment });
}

async function say(ms = 0): Promise<void> {
  await database.query("select rouse.enqueue('say', jsonb_build_object('ms', $1::int))", [ms]);
}

for (const manifest of [{ type: "module" }, {}]) {
  const kind = "type" in manifest ? "ES module" : "CommonJS";

  test(`A14: a change of a task or of what it imports restarts the worker (${kind})`, async () => {
    const folder = await project({ "tasks.ts": says("first"), ...word("one") }, manifest);
    const worker = watch(folder);
    await worker.says("worker started");
    await say();
    await worker.says("begins one first");
    let from = worker.stderr.length;
    await write(folder, word("two"));
    await worker.says(/word\.ts has changed; restarting[\s\S]*worker stopped[\s\S]*worker started/, from);
    await say();
    await worker.says("begins two first", from);
    from = worker.stderr.length;
    await write(folder, { "tasks.ts": says("second") });
    await worker.says(/tasks\.ts has changed; restarting[\s\S]*worker started/, from);
    await say();
    await worker.says("begins two second", from);
    worker.kill("SIGINT");
    const { code } = await worker.exited;
    assert.equal(code, 0);
  });
}

test("A14: running jobs end before the restart; a signal meanwhile is the first", async () => {
  const folder = await project({ "tasks.ts": says("x"), ...word("one") });
  const worker = watch(folder);
  await worker.says("worker started");
  await say(1_000);
  await worker.says("begins one");
  await write(folder, word("two"));
  await worker.says("worker stopping");
  worker.kill("SIGTERM");
  await worker.says("SIGTERM: 1 running, again to stop now");
  const { code, stderr } = await worker.exited;
  assert.match(stderr, /ends .*\n.*worker stopped/);
  assert.equal(stderr.match(/worker started/g)?.length, 1);
  assert.equal(code, 0);
});

test("A14: a broken file shows its error and is waited for, and so are files that are missing", async () => {
  const folder = await project({});
  const worker = watch(folder);
  await worker.says(/no tasks found[\s\S]*waiting for a change/);
  let from = worker.stderr.length;
  await write(folder, { "tasks/say.ts": says("x") });
  await worker.says(/say\.ts cannot be loaded: .*word[\s\S]*waiting for a change/, from);
  from = worker.stderr.length;
  await write(folder, { "tasks/word.ts": "export const word = ;" });
  await worker.says(/word\.ts:1:20[\s\S]*waiting for a change/, from);
  from = worker.stderr.length;
  await write(folder, { "tasks/word.ts": word("one")["word.ts"] });
  await worker.says("worker started", from);
  from = worker.stderr.length;
  await write(folder, { "tasks/more.ts": "export const more = 1;\n" });
  await worker.says(/more\.ts has changed; restarting[\s\S]*worker started/, from);
  from = worker.stderr.length;
  await rm(`${folder}/tasks`, { recursive: true });
  await worker.says(/no tasks found[\s\S]*waiting for a change/, from);
  worker.kill("SIGTERM");
  await worker.exited;
});

test("the worker ends with the process that watches it, kill -9 included", async () => {
  const folder = await project({ "tasks.ts": says("x"), ...word("one") });
  const worker = watch(folder);
  await worker.says("worker started");
  const [row] = await database.query<{ pid: number }>("select pid from rouse.worker");
  endAfterTests(row!.pid);
  worker.kill("SIGKILL");
  await until(() => !isRunning(row!.pid), { message: "the worker has ended" });
  assert.deepEqual(await database.query("select from rouse.workers"), []);
});

test("a signal that comes just as the worker has ended is heeded", async () => {
  const folder = await project({ "fails.js": "process.exit(3);\n" });
  const [, script] = process.argv;
  process.argv[1] = `${folder}/fails.js`;
  try {
    const signal = (message: string) => {
      if (message.includes("waiting for a change")) process.emit("SIGTERM", "SIGTERM");
    };
    const log = { debug() {}, info() {}, warn: signal, error() {} };
    assert.equal(await watchWorker({ args: [], environment: process.env, patterns: undefined, folder, log }), 3);
  } finally {
    process.argv[1] = script!;
  }
});

test("a worker whose watcher is gone before it has loaded ends", async () => {
  const folder = await project({ "tasks.ts": says("x"), ...word("one") });
  const worker = startRouse(["worker"], {
    folder,
    environment: { DATABASE_URL: database.url, ROUSE_WATCHED: "1" },
    ipc: true,
  });
  worker.process.disconnect();
  // The event "close" does not come where it was us who disconnected.
  const [code] = await once(worker.process, "exit");
  assert.equal(code, 0, worker.stderr);
});
