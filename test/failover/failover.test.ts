import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { createRouse, defineTask, type Rouse } from "../../src/index.ts";
import { createLogger } from "../../src/log.ts";
import { migrate } from "../../src/migrate/index.ts";
import { type OwnServer, ownServer } from "../support/servers.ts";
import { until } from "../support/until.ts";

let primary: OwnServer;
let standby: OwnServer;
let cleanUp = async () => {};

before(async () => {
  const made = await ownServer();
  cleanUp = made.cleanUp;
  primary = made.server;
  standby = await primary.standby();
  // With a synchronous standby, what was told to have been committed is on both.
  await primary.start({ synchronous_standby_names: "*", synchronous_commit: "on" });
  await standby.start();
});
after(() => cleanUp());

/** Both hosts in one address, the standby first: the order must not matter. */
function both(): string {
  const url = new URL(primary.url());
  return `postgres://${url.username}:${url.password}@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/postgres`;
}

async function query<Row extends pg.QueryResultRow>(server: OwnServer, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Enqueues until told to stop, one job after the other, and gives the ids of those whose commit was confirmed. */
function enqueueing(rouse: Rouse, task: string): { committed: number[]; stop(): Promise<void> } {
  const committed: number[] = [];
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      const enqueued = await rouse.enqueue(task).catch(() => undefined);
      if (enqueued !== undefined) committed.push(enqueued.id);
      await sleep(enqueued === undefined ? 50 : 2);
    }
  })();
  return {
    committed,
    async stop() {
      stopped = true;
      await done;
    },
  };
}

test("every view, and doctor, can be read on a standby", async () => {
  await migrate({ connectionString: both() });
  const [{ position }] = (await query(primary, "select pg_current_wal_lsn()::text as position")) as [
    { position: string },
  ];
  await until(
    async () =>
      (await query<{ done: boolean }>(standby, `select pg_last_wal_replay_lsn() >= '${position}' as done`))[0]!.done,
    { message: "the standby has replayed the migration" },
  );
  const readable = await query<{ name: string; kind: string }>(
    standby,
    `select c.relname::text as name from pg_class as c
     where c.relnamespace = 'rouse'::regnamespace and c.relkind = 'v'`,
  );
  assert.ok(readable.length >= 5);
  for (const { name } of readable) await query(standby, `select * from rouse.${name}`);
  const [{ exists }] = (await query(standby, "select to_regproc('rouse.doctor') is not null as exists")) as [
    { exists: boolean },
  ];
  assert.ok(exists);
  await query(standby, "select * from rouse.doctor()");
});

test("doctor shows a standby that keeps vacuum from its work", async () => {
  await query(primary, "select pg_create_physical_replication_slot('follower', true)");
  await standby.stop();
  const feedback = { hot_standby_feedback: "on", wal_receiver_status_interval: "1s", primary_slot_name: "follower" };
  await standby.start(feedback);
  const reader = new pg.Client({ connectionString: standby.url() });
  await reader.connect();
  await reader.query("begin isolation level repeatable read; select 1");
  const slot = "select age(xmin) as age from pg_replication_slots where age(xmin) is not null";
  await until(async () => (await query(primary, slot)).length > 0, { message: "the standby told of its snapshot" });
  for (let n = 0; n < 10; n++) await query(primary, "select pg_current_xact_id()");
  const found = await query<{ subject: string; finding: string }>(
    primary,
    "select subject, finding from rouse.doctor_vacuum(now(), 5)",
  );
  assert.equal(found.length, 1);
  assert.equal(found[0]!.subject, 'replication slot "follower"');
  assert.match(found[0]!.finding, /it keeps a snapshot that is \d+ transactions old, and its standby asks for that/);
  await reader.end();
  await standby.stop();
  await query(primary, "select pg_drop_replication_slot('follower')");
  await standby.start();
});

test("B14: workers go on at the promoted standby, and what synchronous commit promised is there", async (t) => {
  const ran = new Map<number, number>();
  let lastAt = 0;
  const tasks = [
    defineTask("count", {
      async run(_payload, ctx) {
        ran.set(ctx.job.id, (ran.get(ctx.job.id) ?? 0) + 1);
        lastAt = performance.now();
      },
    }),
    // Runs across the failover.
    defineTask("long", {
      async run(_payload, ctx) {
        await sleep(4_000, undefined, { signal: ctx.signal });
      },
    }),
  ];
  const log = createLogger({ level: "error" });
  const workers = createRouse({ connectionString: both(), tasks, log });
  const web = createRouse({ connectionString: [primary.url(), standby.url()], log });
  t.after(() => Promise.all([workers.close(), web.close()]));
  await workers.startWorker({ name: "one" });
  await workers.startWorker({ name: "two" });
  const delayed = await web.enqueue("count", {}, { delay: "6s" });
  const long = await web.enqueue("long");
  const source = enqueueing(web, "count");
  t.after(() => source.stop());
  await until(() => ran.size >= 100, { message: "100 jobs have run on the first primary" });

  await primary.kill();
  const killedAt = performance.now();
  await query(standby, "select pg_promote()");
  const before = source.committed.length;
  await until(() => source.committed.length >= before + 100 && lastAt > killedAt, {
    message: "100 jobs were enqueued on the new primary",
  });
  t.diagnostic(`100 more jobs were enqueued ${Math.round(performance.now() - killedAt)} ms after the kill`);
  await source.stop();

  const committed = [...source.committed, delayed.id, long.id];
  await until(
    async () => (await query<{ left: string }>(standby, "select count(*) as left from rouse.job"))[0]!.left === "0",
    { message: "the queue is empty" },
  );
  const archived = await query<{ id: string; state: string; attempt: number }>(
    standby,
    "select id, state, attempt from rouse.archive",
  );
  const succeeded = new Set(archived.filter(({ state }) => state === "succeeded").map(({ id }) => Number(id)));
  assert.deepEqual(
    committed.filter((id) => !succeeded.has(id)),
    [],
  );
  assert.ok(ran.has(delayed.id));
  // Its worker came back within its grace, so its attempt went on.
  assert.equal(archived.find(({ id }) => Number(id) === long.id)?.attempt, 1);
});

test("where no address takes writes, the error says what each of them is", async (t) => {
  const rouse = createRouse({ connectionString: both() });
  t.after(() => rouse.close());
  await standby.stop();
  await assert.rejects(rouse.enqueue("count"), (error: Error) => {
    assert.match(
      error.message,
      /none of 2 addresses takes writes: 127\.0\.0\.1:\d+ .*ECONNREFUSED.*; 127\.0\.0\.1:\d+ /,
    );
    return true;
  });
});
