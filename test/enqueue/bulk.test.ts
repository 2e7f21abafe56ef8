import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { claim, clear, refused, register, rows } from "../support/engine.ts";

const db = testDatabase();

beforeEach(() => clear(db));

/** COPY … FROM STDIN as pg can do it without a package: it hands the protocol's messages to the query object. */
async function copy(client: pg.Client, text: string, lines: string[]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const data = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    const query = {
      submit: (connection: { query(sql: string): void }) => connection.query(text),
      handleCopyInResponse(connection: { sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void }) {
        connection.sendCopyFromChunk(data);
        connection.endCopyFrom();
      },
      handleCommandComplete() {},
      handleReadyForQuery: () => resolve(),
      handleError: reject,
    };
    client.query(query as unknown as pg.Submittable);
  });
}

test("a plain INSERT is due at once and takes its queue and priority from the table", async () => {
  await db.query(
    `insert into rouse.job (task, payload) select 'mail', jsonb_build_object('to', i) from generate_series(1, 3) i`,
  );
  assert.deepEqual(await rows(db.pool, "select state, queue, priority, attempt, payload from rouse.job order by id"), [
    { state: "ready", queue: "default", priority: 0, attempt: 0, payload: { to: 1 } },
    { state: "ready", queue: "default", priority: 0, attempt: 0, payload: { to: 2 } },
    { state: "ready", queue: "default", priority: 0, attempt: 0, payload: { to: 3 } },
  ]);
});

test("a future run_at of a plain INSERT is honoured, a past one is due, whatever state the row claims", async () => {
  await db.query(`
    insert into rouse.job (task, run_at, state) values
      ('a', now() + interval '1 hour', default),
      ('b', now() - interval '1 hour', default),
      ('c', now() - interval '1 hour', 'scheduled'),
      ('d', '294276-12-31 23:59:59+00', default),
      ('e', '4713-01-01 00:00+00 BC', default)`);
  const worker = await register(db.pool);
  const claimed = await claim(db.pool, worker, { most: 10 });
  assert.deepEqual(
    claimed.map(({ task }) => task),
    ["e", "b", "c"],
  );
  assert.deepEqual(await rows(db.pool, "select task, state from rouse.job where state <> 'running' order by task"), [
    { task: "a", state: "scheduled" },
    { task: "d", state: "scheduled" },
  ]);
});

test("COPY honours run_at in the session's zone", async () => {
  const client = await db.connect();
  await client.query("set timezone = 'Asia/Tokyo'");
  await copy(client, "copy rouse.job (task, payload, run_at) from stdin", [
    'mail\t{"to": 1}\t2001-01-01 09:00',
    'mail\t{"to": 2}\t2101-01-01 09:00',
  ]);
  await client.query("set timezone = 'UTC'");
  assert.deepEqual(await rows(client, "select state, run_at::text from rouse.job order by id"), [
    { state: "ready", run_at: "2001-01-01 00:00:00+00" },
    { state: "scheduled", run_at: "2101-01-01 00:00:00+00" },
  ]);
});

test("the table refuses rows that no worker could handle, naming the rule", async () => {
  for (const [row, rule] of [
    ["(task) values ('')", "job_task_1_to_200_characters"],
    ["(task, state) values ('a', 'running')", "job_lease_while_running"],
    ["(task, lease) values ('a', gen_random_uuid())", "job_lease_while_running"],
    ["(task, state) values ('a', 'succeeded')", "job_state_is_live"],
    ["(task, run_at) values ('a', 'infinity')", "job_run_at_is_finite"],
    ["(task, priority) values ('a', 101)", "job_priority_between_minus_100_and_100"],
    ["(task, timeout) values ('a', '-1 s')", "job_timeout_is_positive"],
    ["(task, headers) values ('a', '[]')", "job_headers_is_an_object"],
    ["(task, unique_key) values ('a', '')", "job_unique_key_1_to_400_characters"],
  ]) {
    const error = await refused(db.query(`insert into rouse.job ${row}`));
    assert.deepEqual([error.code, error.constraint], ["23514", rule], row);
  }
  const twice = db.query("insert into rouse.job (task, unique_key) values ('a', 'k'), ('a', 'k')");
  assert.equal((await refused(twice)).constraint, "job_unique_key");
});

test("an attempt count at its limit stops neither the claim nor its queue", async () => {
  await db.query("insert into rouse.job (task, attempt) values ('a', 32767), ('b', 0)");
  const worker = await register(db.pool);
  const claimed = await claim(db.pool, worker, { most: 10 });
  assert.deepEqual(
    claimed.map(({ attempt }) => attempt),
    [32767, 1],
  );
});
