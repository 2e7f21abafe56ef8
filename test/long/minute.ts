/**
 * What ACCEPTANCE says of a minute, with default settings; the suite does the same with a short lease, in seconds.
 *
 * B7: a handler that computes for 60 s without yielding, longer than the lease, keeps its job, and every second of a
 * schedule has its slot meanwhile. B13, B14: a server that is stopped for 60 s and started finds its workers again, what ended
 * meanwhile is told, and nothing runs twice.
 *
 *     npm run test:minute
 */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { createRouse, defineTask, type Logger } from "../../src/index.ts";
import { migrate } from "../../src/migrate/index.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";
import { ownServer } from "../support/servers.ts";
import { until } from "../support/until.ts";

const MINUTE = 60_000;

const computing = (begun: () => void) =>
  defineTask("computing", {
    run: () => {
      begun();
      for (const end = performance.now() + MINUTE; performance.now() < end; );
      return "computed";
    },
  });

if (process.send) await compute(process.argv[2]!);
else await main();

/** A process that computes, and can do nothing else meanwhile. */
async function compute(url: string): Promise<void> {
  const say = (message: string) => process.send!(message);
  const log: Logger = { debug: () => {}, info: say, warn: say, error: say };
  await createRouse({ connectionString: url, tasks: [computing(() => {})], log }).startWorker();
}

async function main(): Promise<void> {
  const { server, cleanUp } = await ownServer();
  const query = async (text: string) => {
    const client = new pg.Client(server.url());
    await client.connect();
    return await client.query(text).finally(() => client.end());
  };
  const archived = (task: string) =>
    until(
      async () => (await query(`select state, attempt, result from rouse.archive where task = '${task}'`)).rows[0],
      {
        message: `${task} is finished`,
        timeout: 3 * MINUTE,
      },
    );
  try {
    await server.start();
    await migrate({ connectionString: server.url() });

    const said: string[] = [];
    const child = fork(fileURLToPath(import.meta.url), [server.url()]);
    child.on("message", (message) => said.push(String(message)));
    const ended = new Latch<string>();
    const running = new Tally<number>();
    const paid = defineTask("paid", {
      run: (_payload, { job }) => {
        running.add(job.attempt);
        return ended.opened;
      },
    });
    const each = defineTask("each_second", { run: () => {} });
    const log = new TestLog();
    const rouse = createRouse({ connectionString: server.url(), tasks: [paid, each], log });
    await rouse.startWorker();
    await until(() => said.some((line) => /^worker started/.test(line)), { message: "the other process works" });
    await query("select rouse.schedule('each second', 'every 1 second', task => 'each_second', overlap => 'allow')");
    await query("select rouse.enqueue('computing')");
    assert.deepEqual(await archived("computing"), { state: "succeeded", attempt: 1, result: "computed" });
    assert.ok(!said.some((line) => /taken for dead|lost|not listening/.test(line)), said.join("\n"));
    const { rows: slots } = await query(
      `select max(slot_at - lag) as gap, count(*)::int as slots
       from (select slot_at, lag(slot_at, 1, slot_at) over (order by slot_at) as lag from rouse.slot) as s`,
    );
    assert.ok(slots[0].slots >= 60 && slots[0].gap.seconds === 1, JSON.stringify(slots[0]));
    await query("select rouse.unschedule('each second')");
    console.log(`B7: computed for 60 s in its first attempt, while ${slots[0].slots} slots fired, one a second`);

    await query("select rouse.enqueue('paid')");
    await running.reach(1);
    const cpu = process.cpuUsage();
    await server.stop();
    await log.line(/^the heartbeat has lost the database/);
    ended.open("receipt");
    await sleep(MINUTE);
    const { user, system } = process.cpuUsage(cpu);
    const started = performance.now();
    await server.start();
    assert.deepEqual(await archived("paid"), { state: "succeeded", attempt: 1, result: "receipt" });
    const took = Math.round(performance.now() - started);
    await Promise.all([log.line(/^the heartbeat is back/), log.line(/^listening again/)]);
    for (const line of [/^the heartbeat has lost/, /^not listening/, /^cannot get through/]) {
      assert.equal(log.matching(line).length, 1, `${line}: one line for the whole minute`);
    }
    assert.equal(running.all.length, 1);
    assert.ok(user + system < 3_000_000, "no busy loop");
    console.log(
      `B13, B14: stopped for 60 s, in which the worker took ${Math.round((user + system) / 1_000)} ms of processor time; its result was there ${took} ms after the start began`,
    );
    await rouse.close();
    child.kill("SIGKILL");
    await once(child, "exit");
  } finally {
    await cleanUp();
  }
  process.exit(0);
}
