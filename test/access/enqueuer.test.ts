import assert from "node:assert/strict";
import test from "node:test";
import type pg from "pg";
import { copyFrom } from "./copy.ts";
import { testRoles } from "./support.ts";

const roles = testRoles();
const { database } = roles;
const secret = "4711-secret";

/** Everything that a statement tells its caller: rows, the whole error, notices, notifications. */
async function toldBy(client: pg.Client, sql: string): Promise<string> {
  const told: unknown[] = [];
  const note = (message: unknown) => told.push(message);
  client.on("notice", note);
  client.on("notification", note);
  try {
    told.push((await client.query(sql)).rows);
  } catch (error) {
    told.push({ ...(error as object), message: (error as Error).message });
  }
  client.off("notice", note);
  client.off("notification", note);
  return JSON.stringify(told);
}

async function owned(): Promise<pg.Client> {
  const owner = await roles.connect("owner");
  await owner.query("delete from rouse.job; delete from rouse.archive");
  await owner.query("select rouse.enqueue('pay', $1, unique_key => 'k', headers => $1, tags => array[$2])", [
    JSON.stringify({ card: secret }),
    secret,
  ]);
  return owner;
}

test("enqueue lets a role add jobs by each door", async () => {
  const client = await roles.connect("enqueue");
  const owner = await roles.connect("owner");
  await client.query("select rouse.enqueue('a', '{\"n\": 1}', unique_key => 'a', delay => interval '1 hour')");
  await client.query(`select rouse.enqueue_many('[{"task": "b", "priority": 5}, {"task": "b"}]')`);
  await client.query("insert into rouse.job (task, run_at) values ('c', now() + interval '1 day'), ('c', now())");
  await copyFrom(client, "copy rouse.job (task, payload, tags) from stdin", 'd\t{"n": 2}\t{x}\n');
  const { rows } = await owner.query("select task, state from rouse.job order by task, state");
  assert.deepEqual(
    rows.map(({ task, state }) => `${task} ${state}`),
    ["a scheduled", "b ready", "b ready", "c ready", "c scheduled", "d ready"],
  );
});

test("an enqueuer cannot set what is Rouse's: state, lease, attempt, worker, schedule, id", async () => {
  const client = await roles.connect("enqueue");
  const { rows } = await database.pool.query<{ column: string }>(`
    select quote_ident(attname) as column from pg_attribute
    where attrelid = 'rouse.job'::regclass and attnum > 0 and not attisdropped
      and not has_column_privilege('${roles.name("enqueue")}', attrelid, attnum, 'insert')`);
  const closed = rows.map(({ column }) => column);
  for (const expected of ["id", "state", "lease", "attempt", "worker_id", "started_at", "scheduled_for"]) {
    assert.ok(closed.includes(expected), expected);
  }
  for (const column of closed) {
    await assert.rejects(client.query(`insert into rouse.job (task, ${column}) values ('x', default)`), {
      code: "42501",
    });
  }
});

test("an enqueuer reads no payload: not by query, error, notice, RETURNING, EXPLAIN, statistics or activity", async () => {
  const owner = await owned();
  await owner.query("analyze rouse.job");
  const client = await roles.connect("enqueue");
  const { rows: channels } = await owner.query("select rouse.channel() as channel");
  await client.query(`listen ${channels[0].channel}`);
  // Held open while the others look: this session's statement carries the payload as text.
  await owner.query("begin");
  await owner.query(`select rouse.enqueue('pay', '{"card": "${secret}"}')`);

  const attempts = [
    "select payload from rouse.job",
    "select * from rouse.jobs",
    "select * from rouse.failures",
    "table rouse.archive",
    "copy rouse.job to stdout",
    "copy (select payload from rouse.job) to stdout",
    "insert into rouse.job (task) values ('x') returning payload",
    "insert into rouse.job (task) values ('x') returning id",
    "insert into rouse.job (task) select payload::text from rouse.job",
    "insert into rouse.job (task, unique_key) values ('pay', 'k')",
    "insert into rouse.job (task, unique_key) values ('pay', 'k') on conflict do nothing",
    "insert into rouse.job (task, unique_key) values ('pay', 'k') on conflict (task, unique_key) where unique_key is not null do update set priority = 1 returning rouse.job.payload",
    "insert into rouse.job (task, payload) values ('x', (select payload from rouse.job limit 1))",
    "insert into rouse.job (task, priority) values ('x', 1000)",
    "insert into rouse.job (task) values (null)",
    "merge into rouse.job as j using (values ('pay')) as v (t) on j.task = v.t when matched then do nothing",
    "explain (verbose) select payload from rouse.job where payload @> '{}'",
    "explain (analyze, verbose) insert into rouse.job (task, payload) values ('x', '{}')",
    "explain (analyze, verbose) select rouse.enqueue('pay', '{}', unique_key => 'k')",
    "select rouse.enqueue('pay', '{}', unique_key => 'k')",
    "select rouse.enqueue('pay', '{}', priority => 1000)",
    "select rouse.enqueue('pai', '{}', headers => '[]')",
    "select rouse.enqueue('pai')",
    'select * from rouse.enqueue_many(\'[{"task": "pay", "unique_key": "k"}]\')',
    'select * from rouse.enqueue_many(\'[{"task": "pay", "payloed": 1}]\')',
    "select * from pg_stats where schemaname = 'rouse'",
    "select most_common_vals::text from pg_stats_ext",
    "select * from pg_statistic",
    "select query, state from pg_stat_activity",
    "select * from pg_cursors",
    "select rouse.claim_v1(1)",
    "select rouse.retry(1), rouse.purge(1)",
    "select currtid2('rouse.job', '(0,1)')",
    "lock table rouse.job in access exclusive mode",
    "update rouse.job set payload = payload returning payload",
    "delete from rouse.job returning payload",
    "create view pg_temp.v as select * from rouse.job",
    "create table pg_temp.t (like rouse.job including all)",
    "create table pg_temp.child () inherits (rouse.job)",
    "create statistics pg_temp.s on task, payload from rouse.job",
    "prepare p as select payload from rouse.job; execute p",
    "declare c cursor with hold for select payload from rouse.job; fetch c",
    "select ctid, xmin, tableoid from rouse.job",
  ];
  for (const sql of attempts) {
    const told = await toldBy(client, sql);
    assert.ok(!told.includes(secret), `${sql}\n${told}`);
  }
  await owner.query("commit");
  // The hint of the commit arrives with the answer to this, if not before.
  assert.ok(!(await toldBy(client, "select 1")).includes(secret));
  const { rows } = await owner.query("select count(*)::integer as jobs from rouse.job where task = 'pay'");
  assert.deepEqual(rows, [{ jobs: 2 }]);
});

test("an enqueuer's statements and errors tell it nothing of the functions' owner", async () => {
  const client = await roles.connect("enqueue");
  // Runs with the enqueuer's rights, wherever it runs: it would tell whose rights those are.
  await client.query(`
    create function pg_temp.spy() returns text language plpgsql as $$
    begin
      raise warning 'spy runs as %', current_user;
      return current_user;
    end $$`);
  const warnings: string[] = [];
  client.on("notice", ({ message, severity }) => severity === "WARNING" && warnings.push(message ?? ""));
  await client.query("select rouse.enqueue(pg_temp.spy())");
  await client.query("insert into rouse.job (task) values (pg_temp.spy())");
  assert.deepEqual(new Set(warnings), new Set([`spy runs as ${roles.name("enqueue")}`]));
});
