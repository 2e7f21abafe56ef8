import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { type Claimed, claim, clear, declare, enqueue, register, rows, value } from "../support/engine.ts";

const db = testDatabase();

beforeEach(() => clear(db));

/** Claims and completes until nothing is left, looking again at once while others hold what there is. */
async function drain(client: pg.Client, most: number): Promise<Claimed[]> {
  const worker = await register(client);
  const all: Claimed[] = [];
  for (;;) {
    const claimed = await claim(client, worker, { most });
    if (claimed.length > 0) {
      all.push(...claimed);
      await complete(client, claimed);
    } else if (!(await value<boolean>(client, "select exists (select from rouse.job where state = 'ready')"))) {
      return all;
    }
  }
}

async function complete(client: pg.Client, jobs: Claimed[]): Promise<void> {
  const refusals = await rows<{ id: string; outcome: string }>(client, "select * from rouse.complete_many_v1($1, $2)", [
    jobs.map(({ id }) => id),
    jobs.map(({ lease }) => lease),
  ]);
  // A claim with a snapshot from before these were claimed holds their rows for a moment.
  assert.deepEqual(
    refusals.filter(({ outcome }) => outcome !== "busy"),
    [],
  );
  const busy = new Set(refusals.map(({ id }) => id));
  if (busy.size > 0)
    await complete(
      client,
      jobs.filter(({ id }) => busy.has(id)),
    );
}

/** All 100,000 take half a minute; ROUSE_CLAIM_JOBS=100000 does them. */
const jobs = Number(process.env.ROUSE_CLAIM_JOBS ?? 20_000);

test(`B4: ten claimers hand out each of ${jobs} jobs of three queues exactly once`, async () => {
  await declare(db.pool, { name: "noop" });
  await db.query(
    `insert into rouse.job (task, queue, priority)
     select 'noop', 'queue ' || i % 3, (i % 5)::smallint from generate_series(1, $1::integer) i`,
    [jobs],
  );
  const clients = await Promise.all(Array.from({ length: 10 }, () => db.connect()));
  const claimed = (await Promise.all(clients.map((client, n) => drain(client, 20 + n * 20)))).flat();
  assert.equal(claimed.length, jobs);
  assert.equal(new Set(claimed.map(({ id }) => id)).size, jobs);
  assert.deepEqual(
    await rows(db.pool, "select state, attempt, count(*)::integer as n from rouse.archive group by 1, 2"),
    [{ state: "succeeded", attempt: 1, n: jobs }],
  );
  assert.deepEqual(await rows(db.pool, "select from rouse.job"), []);
});

test("B4: a wake that races a timer hands a job out once", async () => {
  const clients = await Promise.all(Array.from({ length: 6 }, () => db.connect()));
  const workers = await Promise.all(clients.map((client) => register(client)));
  for (let round = 0; round < 50; round++) {
    const id = await enqueue(db.pool, "mail", { delay: "1 hour" });
    const claims = await Promise.all(
      clients.map((client, n) =>
        claim(client, workers[n]!, { most: 10, asOf: new Date(Date.now() + 7_200_000).toISOString() }),
      ),
    );
    let ids = claims.flat().map((job) => job.id);
    // A claim that came while another one was promoting saw a job that was not ready yet.
    if (ids.length === 0) ids = (await claim(db.pool, workers[0]!, { most: 10 })).map((job) => job.id);
    assert.deepEqual(ids, [id]);
  }
});

test("B4: claimers in REPEATABLE READ get a serialization failure or jobs of their own", async () => {
  await db.query("insert into rouse.job (task) select 'noop' from generate_series(1, 2000)");
  const clients = await Promise.all(Array.from({ length: 4 }, () => db.connect()));
  const ids: string[] = [];
  await Promise.all(
    clients.map(async (client) => {
      await client.query("set default_transaction_isolation = 'repeatable read'");
      const worker = await register(client);
      while (ids.length < 2000) {
        try {
          ids.push(...(await claim(client, worker, { most: 50 })).map(({ id }) => id));
        } catch (error) {
          assert.equal((error as pg.DatabaseError).code, "40001");
        }
      }
    }),
  );
  assert.equal(new Set(ids).size, 2000);
});

test("exchanges whose failures enqueue and which look for work to sleep do not deadlock", async () => {
  await declare(db.pool, { name: "bill", dead_letter: "tell" });
  const clients = await Promise.all([db.connect(), db.connect()]);
  const workers = await Promise.all(clients.map((client) => register(client)));
  await db.query("insert into rouse.job (task) select 'bill' from generate_series(1, 200)");
  await Promise.all(
    clients.map(async (client, n) => {
      for (const { id, lease } of await claim(client, workers[n]!, { tasks: ["bill"], most: 100 })) {
        // The sign of its worker is up and its timer is not, so that it waits for those who told nobody of their jobs.
        await client.query("update rouse.sleeper set next_wake = null where worker_id = $1", [workers[n]]);
        await client.query("select * from rouse.exchange_v1($1, null, '{none}', 1, failures => $2)", [
          workers[n],
          JSON.stringify([{ id, lease, error: {}, retry: false }]),
        ]);
      }
    }),
  );
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.job where task = 'tell'"), 200);
});
