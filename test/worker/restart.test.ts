import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, afterEach } from "node:test";
import pg from "pg";
import { type EmbeddedServer, startEmbedded } from "../../src/dev/index.ts";
import { createRouse, defineTask } from "../../src/index.ts";
import { migrate } from "../../src/migrate/index.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";
import { until } from "../support/until.ts";

/** A server of this file's own, which it may stop and kill. */
let dataDir: string;
let server: EmbeddedServer;

async function start(): Promise<void> {
  dataDir ??= await mkdtemp(join(tmpdir(), "rouse-restart-"));
  server = await startEmbedded({ dataDir, port: server?.port ?? 0 });
  await migrate({ connectionString: server.url });
}

after(async () => {
  await server?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

async function query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client(server.url);
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** Two workers, one of which runs two jobs that end when the test says so. */
async function twoWorkers() {
  const running = new Tally<number>();
  const finish = new Latch();
  const task = defineTask("held", {
    retry: { backoff: "fixed", base: 0 },
    run: async (_payload, ctx) => {
      running.add(ctx.job.id);
      await finish.opened;
    },
  });
  const rouses = [0, 1].map(() => {
    const log = new TestLog();
    const rouse = createRouse({ connectionString: server.url, tasks: [task], log });
    open.push(rouse);
    return Object.assign(rouse, { log });
  });
  await rouses[0]!.startWorker();
  const ids = (await rouses[0]!.enqueueMany([{ task }, { task }])).map(({ id }) => id);
  await running.reach(2);
  await rouses[1]!.startWorker();
  return { running, finish, task, rouses, ids };
}

const isDone = async (ids: number[]) =>
  (await query("select from rouse.archive where state = 'succeeded' and id = any ($1)", [ids])).length === ids.length;

test("B14: the whole server restarted: workers come back alone, keep what they run, and start what comes", async () => {
  await start();
  const { running, finish, task, rouses, ids } = await twoWorkers();
  const back = rouses.flatMap(({ log }) => [log.next(/^the heartbeat is back/), log.next(/^listening again/)]);
  await server.stop();
  await Promise.all(rouses.map(({ log }) => log.line(/^the heartbeat has lost the database/)));
  await start();
  await Promise.all(back);
  // Several beats, all of them with the locks of others to look at.
  const [{ beats: before } = { beats: 0 }] = await query<{ beats: number }>(
    "select sum(beats)::int as beats from rouse.worker",
  );
  await until(
    async () =>
      ((await query<{ beats: number }>("select sum(beats)::int as beats from rouse.worker"))[0]?.beats ?? 0) >
      before + 5,
    {
      message: "workers have beaten some times",
    },
  );
  finish.open();
  await until(() => isDone(ids), { message: "the jobs are finished" });
  assert.equal(running.all.length, 2, "a job ran twice");
  const { id } = await rouses[0]!.enqueue(task);
  await until(() => isDone([id]), { message: "a new job is finished" });
  for (const { log } of rouses) {
    assert.equal(log.matching(/taken for dead/).length, 0);
    assert.equal(log.matching(/^the heartbeat has lost the database/).length, 1, "one line for the whole outage");
    assert.equal(log.matching(/^not listening/).length, 1);
  }
});

test("B14: the server killed: every committed job runs, though claims that were not flushed are forgotten", async () => {
  const { finish, task, rouses, ids } = await twoWorkers();
  const more = await rouses[0]!.enqueueMany(Array.from({ length: 200 }, () => ({ task })));
  const [postmaster] = (await readFile(join(server.dataDir, "cluster", "postmaster.pid"), "utf8")).split("\n");
  const lost = Promise.all(rouses.map(({ log }) => log.next(/^the heartbeat has lost the database/)));
  process.kill(Number(postmaster), "SIGKILL");
  await lost;
  await server.stop();
  finish.open();
  await start();
  await until(() => isDone([...ids, ...more.map(({ id }) => id)]), { message: "all are finished" });
  assert.deepEqual(await query("select from rouse.job"), []);
});
