import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { testDatabase } from "../support/database.ts";
import { claimOne, clear, declare, enqueue, register, rows, type Session, value } from "../support/engine.ts";

const db = testDatabase();

beforeEach(async () => {
  await clear(db);
  await db.query("select rouse.make_partitions()");
});

const partitions = async (session: Session = db.pool) =>
  (
    await rows<{ name: string }>(
      session,
      `select c.relname as name
       from pg_inherits as i
       join pg_class as c on c.oid = i.inhrelid
       where i.inhparent = 'rouse.archive'::regclass
         and c.relname <> 'archive_default'
       order by 1`,
    )
  ).map(({ name }) => name);

/** Puts a finished job of each of these drop days into the archive, where its partition is. */
async function finished(...days: string[]): Promise<void> {
  for (const day of days) {
    await db.query(
      `insert into rouse.archive (id, run_at, created_at, finished_at, drop_on, priority, attempt, task, queue, state, payload)
       select nextval('rouse.job_id'), now(), now(), now(), $1, 0, 1, 'mail', 'default', 'succeeded', '{}'`,
      [day],
    );
    await db.query("insert into rouse.attempt_error (job_id, drop_on, attempt, message) values (1, $1, 1, 'no')", [
      day,
    ]);
  }
}

async function inTransaction(use: (client: Session) => Promise<void>): Promise<void> {
  const client = await db.connect();
  await client.query("begin");
  try {
    await use(client);
  } finally {
    await client.query("rollback");
  }
}

test("the migration leaves the partitions that the first jobs will need", async () => {
  const worker = await register(db.pool);
  await enqueue(db.pool, "mail");
  const { id, lease } = await claimOne(db.pool, worker);
  await db.query("select rouse.complete_v1($1, $2)", [id, lease]);
  assert.match(await value(db.pool, "select tableoid::regclass::text from rouse.archive"), /^rouse\.archive_\d{8}$/);
});

test("at any instant of the next three days the partition of a finishing job is there", async () => {
  await declare(
    db.pool,
    ...["1 second", "36 hours", "4 days", "11 days", "71 days"].map((keep, n) => ({
      name: `task ${n}`,
      keep_succeeded: keep,
      keep_failed: keep,
    })),
  );
  for (const [start, zone] of [
    ["2026-12-30 23:59:59Z", "UTC"],
    // Two days later a day has 25 hours there.
    ["2027-11-05 23:30Z", "America/New_York"],
  ]) {
    await inTransaction(async (client) => {
      await client.query(`set local timezone = '${zone}'`);
      await client.query("select rouse.make_partitions($1)", [start]);
      const missing = await rows(
        client,
        `select at::text, keep::text, 'archive_' || to_char(day, 'YYYYMMDD') as partition
           from generate_series(0, 71) as hour,
                lateral (select $1::timestamptz + hour * interval '1 hour' as at) as a,
                (select keep_succeeded as keep from rouse.task) as t,
                lateral (select rouse.drop_on(at, keep) as day) as d
           where to_regclass('rouse.archive_' || to_char(day, 'YYYYMMDD')) is null
              or to_regclass('rouse.attempt_error_' || to_char(rouse.drop_on(at, greatest(keep, interval '1 day')), 'YYYYMMDD')) is null
           limit 3`,
        [start],
      );
      assert.deepEqual(missing, [], `from ${start} in ${zone}`);
    });
  }
});

test("a job that finishes while its partition is missing goes to the default one, and moves when it is made", async () => {
  await inTransaction(async (client) => {
    await client.query(`
      insert into rouse.archive (id, run_at, created_at, finished_at, drop_on, priority, attempt, task, queue, state, payload)
      values (7, now(), now(), now(), '2041-05-02', 0, 1, 'mail', 'default', 'succeeded', '{}'),
             (8, now(), now(), now(), '2041-05-20', 0, 1, 'mail', 'default', 'succeeded', '{}')`);
    const where = () => rows(client, "select id, tableoid::regclass::text as part from rouse.archive order by id");
    assert.deepEqual(await where(), [
      { id: "7", part: "rouse.archive_default" },
      { id: "8", part: "rouse.archive_default" },
    ]);
    await client.query("select rouse.make_partitions('2041-04-30 12:00Z')");
    assert.deepEqual(await where(), [
      { id: "7", part: "rouse.archive_20410502" },
      { id: "8", part: "rouse.archive_default" },
    ]);
    await client.query("select rouse.drop_partitions('2041-05-20 00:00Z')");
    assert.deepEqual(await where(), []);
  });
});

test("what has been kept long enough goes, on its day and not before, whatever dates look like in the session", async () => {
  for (const style of ["SQL, DMY", "Postgres, MDY"]) {
    await inTransaction(async (client) => {
      await client.query(`set local datestyle = '${style}'; set local timezone = 'Pacific/Auckland'`);
      await client.query("select rouse.make_partitions('2041-05-01 12:00Z')");
      const all = await partitions(client);
      assert.ok(all.includes("archive_20410503") && all.includes("archive_20410506"), all.join());
      await client.query("select rouse.drop_partitions('2041-05-03 23:59:59Z')");
      const left = await partitions(client);
      assert.deepEqual(
        left,
        all.filter((name) => name > "archive_20410503"),
      );
      await client.query("select rouse.drop_partitions('2041-05-02 12:00Z')");
      assert.deepEqual(await partitions(client), left);
    });
  }
});

test("retention drops finished jobs and errors with their partitions, and nothing else", async () => {
  const [today, tomorrow, later] = await Promise.all(
    [0, 1, 2].map((days) =>
      value<string>(db.pool, "select ((now() at time zone 'UTC')::date + $1::integer)::text", [days]),
    ),
  );
  await enqueue(db.pool, "live");
  await finished(today!, tomorrow!, later!);
  await db.query("select rouse.maintain()");
  for (const table of ["archive", "attempt_error"]) {
    assert.deepEqual(await rows(db.pool, `select drop_on::text as day from rouse.${table} order by 1`), [
      { day: tomorrow },
      { day: later },
    ]);
  }
  assert.equal(await value(db.pool, "select count(*)::integer from rouse.job"), 1);
});

test("maintenance beside a long reader such as pg_dump gives up soon, and finishes go on", async () => {
  const worker = await register(db.pool);
  const reader = await db.connect();
  await reader.query("begin");
  await reader.query("select count(*) from rouse.archive");
  await reader.query("select count(*) from rouse.attempt_error");
  const client = await db.connect();
  const before = await partitions();

  // Partitions of other days are wanted and all present ones have passed.
  const start = performance.now();
  assert.equal(await value(client, "select rouse.make_partitions('2051-01-01 12:00Z')"), 0);
  assert.equal(await value(client, "select rouse.drop_partitions('2051-01-01 12:00Z')"), 0);
  assert.ok(performance.now() - start < 1500, `took ${performance.now() - start} ms`);
  assert.deepEqual(await partitions(), before);

  for (const call of ["complete_v1($1, $2)", "fail_v1($1, $2, null, retry => false)"]) {
    await enqueue(db.pool, "mail");
    const { id, lease } = await claimOne(db.pool, worker);
    await client.query("set statement_timeout = '5s'");
    await client.query(`select rouse.${call}`, [id, lease]);
  }
  assert.equal(await value(client, "select count(*)::integer from rouse.archive"), 2);
  await reader.query("commit");
  assert.ok((await value<number>(client, "select rouse.make_partitions('2051-01-01 12:00Z')")) > 0);
  await client.query("select rouse.drop_partitions('2051-02-20 12:00Z')");
  await db.query("select rouse.make_partitions()");
});

test("of two sessions that maintain at once one does it, and the other one does not wait", async () => {
  const [one, two] = [await db.connect(), await db.connect()];
  await one.query("begin");
  assert.ok((await value<number>(one, "select rouse.make_partitions('2061-01-01 12:00Z')")) > 0);
  assert.equal(await value(two, "select rouse.make_partitions('2061-01-01 12:00Z')"), 0);
  assert.equal(await value(two, "select rouse.drop_partitions('2061-01-01 12:00Z')"), 0);
  await two.query("select rouse.maintain()");
  await one.query("rollback");
  const made = await Promise.all(
    [one, two].map((client) => value<number>(client, "select rouse.make_partitions('2061-01-01 12:00Z')")),
  );
  assert.ok(made[0]! + made[1]! > 0);
  await one.query("begin isolation level repeatable read");
  await one.query("select from rouse.task");
  await two.query("select rouse.make_partitions('2061-01-05 12:00Z')");
  assert.equal(await value(one, "select rouse.make_partitions('2061-01-05 12:00Z')"), 0, "an old snapshot is no error");
  await one.query("commit");
  await db.query("select rouse.drop_partitions('2061-03-01 12:00Z')");
  await db.query("select rouse.make_partitions()");
});

test("partitions carry the indexes and comments of their table, and nothing for PUBLIC", async () => {
  const [name] = await partitions();
  assert.deepEqual(
    await rows(
      db.pool,
      `select array(select regexp_replace(indexdef, '^.* USING', '') from pg_indexes where tablename = $1 order by 1)
            = array(select regexp_replace(indexdef, '^.* USING', '') from pg_indexes where tablename = 'archive' order by 1) as indexes,
              col_description(c.oid, 1) = col_description('rouse.archive'::regclass, 1) as comments,
              exists (select from aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) as a where a.grantee = 0)
              or exists (select from aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) as a where a.grantee = 0) as public
       from pg_class as c join pg_type as t on t.oid = c.reltype
       where c.oid = ('rouse.' || $1)::regclass`,
      [name],
    ),
    [{ indexes: true, comments: true, public: false }],
  );
});

test("use_shard moves the ids of an unused installation and of no other", async () => {
  await inTransaction(async (client) => {
    await client.query("alter sequence rouse.job_id restart");
    await client.query("select rouse.use_shard(511)");
    const id = await enqueue(client, "mail");
    assert.equal(id, String(511n * 2n ** 44n));
    assert.ok(Number(id) + 2 ** 44 - 1 <= Number.MAX_SAFE_INTEGER);
    await client.query("select rouse.use_shard(511)");
    await client.query("savepoint here");
    await assert.rejects(client.query("select rouse.use_shard(3)"), { code: "55000", hint: /Choose the shard/ });
    await client.query("rollback to here");
  });
});
