import assert from "node:assert/strict";
import test, { afterEach, beforeEach } from "node:test";
import type pg from "pg";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const db = testDatabase();

interface Finding extends pg.QueryResultRow {
  readonly severity: "error" | "warning" | "info";
  readonly subject: string;
  readonly finding: string;
  readonly why: string;
  readonly remedy: string;
}

/** What a test sets up is rolled back after it. */
let client: pg.Client;
beforeEach(async () => {
  client = await db.connect();
  await client.query("begin");
});
afterEach(() => client.end());

async function doctor(later = "0"): Promise<Finding[]> {
  const { rows } = await client.query<Finding>("select * from rouse.doctor(clock_timestamp() + $1::interval)", [later]);
  for (const { severity, why, remedy } of rows) {
    assert.match(severity, /^(error|warning|info)$/);
    assert.match(why, /^[A-Z].{15,}[.]$/);
    assert.match(remedy, /.{10,}[.;]$/);
  }
  return rows;
}

/** Its findings as `severity subject: finding`. */
async function findings(later?: string): Promise<string[]> {
  return (await doctor(later)).map(({ severity, subject, finding }) => `${severity} ${subject}: ${finding}`);
}

function assertOne(all: readonly string[], expected: RegExp): void {
  assert.equal(all.filter((each) => expected.test(each)).length, 1, `${expected} once in\n${all.join("\n")}`);
}

async function worker(name: string, more: Record<string, unknown> = {}): Promise<void> {
  const row = { name, version: "0.1.0", ...more };
  const columns = Object.keys(row);
  await client.query(
    `insert into rouse.worker (${columns.join(", ")}) values (${columns.map((_, n) => `$${n + 1}`).join(", ")})`,
    Object.values(row),
  );
}

test("doctor finds nothing where nothing is wrong, idle or at work", async () => {
  assert.deepEqual(await findings(), []);
  await worker("one");
  await client.query("select rouse.enqueue('mail'), rouse.enqueue('mail', delay => '1 hour')");
  await client.query("select rouse.schedule('s', '@daily', 'mail')");
  await client.query("select rouse.claim_v1((select id from rouse.worker))");
  assert.deepEqual(await findings(), []);
});

test("doctor: jobs are due and no worker runs", async () => {
  await client.query("select rouse.enqueue('mail', delay => '10 seconds'), rouse.enqueue('later', delay => '2 hours')");
  assert.deepEqual(await findings(), []);
  assertOne(await findings("1 minute"), /^error workers: no worker runs, and 1 jobs are due, the first since 50 s$/);
  await worker("stopping", { stopping_at: new Date() });
  assertOne(await findings("20 seconds"), /^error workers: no worker runs/);
  await client.query("select rouse.pause('default')");
  assert.deepEqual(await findings("20 seconds"), []);
});

test("doctor: a worker that is dead or silent", async () => {
  await worker("gone");
  assertOne(await findings("1 minute"), /^warning worker "gone": it gave no sign of life for 60 s, and 0 jobs run/);
  await client.query("select rouse.enqueue('mail')");
  await client.query("select rouse.claim_v1((select id from rouse.worker))");
  assertOne(await findings("1 minute"), /^error worker "gone": it gave no sign of life for 60 s, and 1 jobs run/);
});

test("doctor: a worker that hears nothing, and one whose slots are held", async () => {
  await worker("deaf", { polls_since: new Date(Date.now() - 60_000) });
  await worker("held", { stuck: 2, concurrency: 10 });
  const all = await findings();
  assertOne(all, /^warning worker "deaf": it has heard no notification since 60 s and looks for jobs every second$/);
  assertOne(all, /^warning worker "held": 2 of its 10 slots are held by handlers/);
  assert.equal(all.length, 2);
});

test("doctor: workers of several versions, and older than the schema", async () => {
  await worker("a", { version: "0.9.2" });
  await worker("b", { version: "0.10.0" });
  await worker("c", { version: "0.10.0" });
  await worker("d", { version: "by hand" });
  await worker("e", { version: null });
  await client.query("update rouse.migration set rouse_version = '0.10.0-beta.1'");
  const all = await findings();
  assertOne(all, /^warning workers: they are of different versions: 0\.10\.0 \(2\), 0\.9\.2 \(1\), by hand \(1\)$/);
  assertOne(all, /^warning worker "a": its version 0\.9\.2 is older than 0\.10\.0-beta\.1/);
  assert.equal(all.length, 2);
});

test("A17: doctor shows jobs with a name that no worker knows, and queues that none serves", async () => {
  await worker("one", { tasks: ["send_mail", "report"], queues: ["default"] });
  await client.query(
    "select rouse.enqueue('sendmail'), rouse.enqueue('sendmail'), rouse.enqueue('report', queue => 'slow')",
  );
  await client.query("select rouse.enqueue('later', delay => '1 day')");
  const all = await findings();
  assertOne(
    all,
    /^warning task "sendmail": 2 jobs wait, the first since .*, and no running worker knows the task; did you mean "send_mail"\?$/,
  );
  assertOne(all, /^warning queue "slow": 1 jobs wait, .* no running worker serves the queue$/);
  assert.equal(all.length, 2);
  await worker("all");
  assert.deepEqual(await findings(), []);
});

test("doctor: schedules that are late, never ran, failed, or lie in the future", async () => {
  await worker("one", { beat_at: new Date(Date.now() + 7_200_000) });
  await client.query("select rouse.schedule('hourly', 'every 1 hour', 'mail')");
  await client.query("select rouse.schedule('paused', 'every 1 hour', 'mail'), rouse.pause(schedule => 'paused')");
  await client.query("select rouse.schedule('past', '@daily', 'mail', ends_at => '2020-01-01')");
  await client.query("select rouse.schedule('failed', '@yearly', 'mail'), rouse.schedule('ahead', '@yearly', 'mail')");
  await client.query("update rouse.schedule set last_error = 'payload has 2 bytes' where name = 'failed'");
  await client.query(
    "update rouse.schedule set last_run_at = clock_timestamp() + interval '1 hour' where name = 'ahead'",
  );
  const now = await findings();
  assertOne(now, /^warning schedule "past": it will never run/);
  assertOne(now, /^warning schedule "failed": its last slot could not be enqueued: payload has 2 bytes$/);
  assertOne(now, /^warning schedule "ahead": its last slot, of .*, lies 60 min ahead$/);
  assert.equal(now.length, 3);
  assertOne(await findings("90 minutes"), /^error schedule "hourly": its slot of .* late, and it has never run$/);
});

test("doctor: snapshots and prepared transactions that keep vacuum from its work", async () => {
  const other = await db.connect();
  await other.query("set application_name = 'report'");
  await other.query("begin isolation level repeatable read; select 1");
  const [{ pid }] = (await other.query("select pg_backend_pid() as pid")).rows;
  assert.deepEqual(await findings(), []);
  assertOne(
    await findings("1 hour"),
    new RegExp(
      `^warning session ${pid}: a transaction of role \\S+ \\(report, idle in transaction\\) has kept its snapshot for 60 min$`,
    ),
  );
  await other.end();
  const { rows } = await client.query("show max_prepared_transactions");
  if (rows[0].max_prepared_transactions === "0") return;
  const preparing = await db.connect();
  await preparing.query("begin; create table prepared (n integer); prepare transaction 'left behind'");
  try {
    assertOne(await findings("1 hour"), /^warning prepared transaction "left behind": it was prepared 60 min ago/);
  } finally {
    await preparing.query("rollback prepared 'left behind'");
  }
});

test("doctor: a notification queue that fills up", async () => {
  const usage = async (share: number) =>
    (await client.query<Finding>("select * from rouse.doctor_server(now(), $1)", [share])).rows.map(
      ({ severity, finding }) => `${severity}: ${finding}`,
    );
  assert.deepEqual(await usage(0.01), []);
  assert.deepEqual(await usage(0.1), ["warning: 10 % of it are used"]);
  assert.deepEqual(await usage(0.6), ["error: 60 % of it are used"]);
});

test("doctor: partitions that are missing, that stay, and rows that found none", async () => {
  assertOne(
    await findings("10 days"),
    /^warning table archive: \d+ partitions for what finishes until tomorrow are missing: archive_\d{8}, /,
  );
  await client.query("select rouse.make_partitions(clock_timestamp() + interval '10 days')");
  assert.deepEqual(
    (await findings("10 days")).filter((each) => /missing/.test(each)),
    [],
  );
  await client.query(
    "create table rouse.archive_20200101 partition of rouse.archive for values from ('2020-01-01') to ('2020-01-02')",
  );
  assertOne(await findings(), /^warning table archive: 1 partitions should have been dropped: archive_20200101$/);
  await client.query(
    `insert into rouse.archive (id, run_at, created_at, finished_at, drop_on, priority, attempt, task, queue, state, payload)
     values (1, now(), now(), now(), '2199-01-01', 0, 1, 'x', 'default', 'succeeded', '{}')`,
  );
  assertOne(await findings(), /^warning table archive_default: it holds 1 rows$/);
});

test("doctor: autovacuum that is off", async () => {
  await client.query("alter table rouse.job set (autovacuum_enabled = false)");
  assertOne(await findings(), /^warning table job: autovacuum is off for it$/);
});

test("doctor: dead rows in the table job", async () => {
  await client.query("commit");
  await client.query("alter table rouse.job set (autovacuum_enabled = false)");
  await client.query(
    "insert into rouse.job (task, run_at) select 'x', now() + interval '1 day' from generate_series(1, 60000)",
  );
  await client.query("delete from rouse.job");
  await client.query(
    "insert into rouse.job (task, run_at) select 'x', now() + interval '1 day' from generate_series(1, 60000)",
  );
  await client.query("delete from rouse.job");
  await client.query("select pg_stat_force_next_flush()");
  await until(
    async () =>
      (await findings()).some((each) => /^warning table job: \d{6} dead rows beside \d+ live ones$/.test(each)),
    {
      message: "the dead rows are found",
    },
  );
  await client.query("alter table rouse.job reset (autovacuum_enabled)");
  await client.query("vacuum rouse.job");
  assert.deepEqual(await findings(), []);
});

test("doctor: a copy of a database", async () => {
  await client.query("update rouse.setting set home_database = 1");
  assertOne(await findings(), /^error database "\w+": it is a copy/);
});

test("doctor: a check that fails hides no other, and what is worst comes first", async () => {
  await client.query(
    "create function rouse.doctor_broken(timestamptz) returns setof rouse.finding language sql as $$ select 'info', 's', 'f', 'w', (1 / 0)::text $$",
  );
  await client.query("select rouse.enqueue('mail')");
  await worker("stopping", { stopping_at: new Date(), beat_at: new Date(0) });
  const all = await findings();
  assert.match(all[0]!, /^error workers/);
  assert.match(all[1]!, /^warning worker "stopping"/);
  assert.match(all[2]!, /^info doctor_broken: this check could not run: division by zero$/);
  assert.equal(all.length, 3);
});
