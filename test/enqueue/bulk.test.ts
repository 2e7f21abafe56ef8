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

test("the table refuses rows that no worker could handle, saying what is wrong", async () => {
  for (const [column, bad, message] of [
    ["task", "''", /^task '' has 0 characters$/],
    ["queue", "repeat('q', 201)", /^queue .*has 201 characters$/],
    ["priority", "101", /^priority 101 is out of range$/],
    ["run_at", "'infinity'", /^run_at is infinity$/],
    ["run_at", "'-infinity'", /^run_at is -infinity$/],
    ["max_attempts", "0", /^max_attempts 0 is out of range$/],
    ["timeout", "'-1 s'", /^timeout -00:00:01 is not a positive, finite time$/],
    ["unique_key", "''", /^unique_key '' has 0 characters$/],
    ["coalesce_key", "''", /^coalesce_key '' has 0 characters$/],
    ["concurrency_key", "repeat('k', 401)", /has 401 characters$/],
    ["headers", "'[]'", /^headers is a JSON array: \[\]$/],
    ["attempt", "-1", /^a job in state 'ready' with lease NULL and attempt -1$/],
    ["state", "'succeeded'", /^a job in state 'succeeded' with lease NULL and attempt 0$/],
    ["state", "'running'", /^a job in state 'running' with lease NULL and attempt 0$/],
    [
      "lease",
      "'00000000-0000-0000-0000-000000000000'",
      /^a job in state 'ready' with lease '0{8}-0000-0000-0000-0{12}' and attempt 0$/,
    ],
  ] as const) {
    // The first row is in order: one bad row of many is found.
    const columns = column === "task" ? "task" : `task, ${column}`;
    const [good, row] = column === "task" ? ["'a'", bad] : ["'a', default", `'a', ${bad}`];
    const error = await refused(db.query(`insert into rouse.job (${columns}) values (${good}), (${row})`));
    assert.equal(error.code, "22023", column);
    assert.match(error.message, message);
    assert.ok(error.hint, column);
    if (["attempt", "state", "lease"].includes(column)) continue;

    await db.query("insert into rouse.job (task) values ('a')");
    assert.match((await refused(db.query(`update rouse.job set ${column} = ${bad}`))).message, message);
    await db.query("delete from rouse.job");
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
