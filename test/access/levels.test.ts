import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import test from "node:test";
import type pg from "pg";
import { LEVELS, type Level, testRoles, type Who } from "./support.ts";

const roles = testRoles();
const { database } = roles;
const rightsQuery = await readFile(new URL("rights.sql", import.meta.url), "utf8");

/**
 * What each level may do, said once more than the engine says it: what is new is nobody's until it is on a list here, but for
 * functions of the worker protocol, and immutable ones, which read and change nothing.
 */
const ENQUEUE = ["enqueue", "enqueue_many", "publish"];
const INSERTABLE = [
  ...["task", "payload", "queue", "priority", "run_at", "max_attempts", "unique_key", "coalesce_key"],
  ...["concurrency_key", "expires_at", "deadline_at", "timeout", "tags", "headers"],
];
const MAY_EXECUTE: Readonly<Record<Level, (routine: Routine) => boolean>> = {
  enqueue: ({ name }) => ENQUEUE.includes(name),
  work: ({ name }) => [...ENQUEUE, "channel", "installation", "tick", "maintain"].includes(name) || /_v\d+$/.test(name),
  view: ({ name, volatility }) =>
    ["channel", "installation", "doctor", "result", "await_v1"].includes(name) ||
    /^cron_/.test(name) ||
    volatility === "i",
  admin: () => true,
};

interface Routine {
  readonly name: string;
  readonly call: string;
  readonly volatility: string;
  readonly is_trigger: boolean;
}

interface Relation {
  readonly name: string;
  readonly kind: string;
  readonly is_partition: boolean;
}

/** The arguments come from a row: the call of a strict function with constant nulls would never happen. */
async function routines(): Promise<Routine[]> {
  return database.query<Routine & pg.QueryResultRow>(`
    select
      p.proname::text as name,
      format(
        '%s.%I(%s) from (select %s offset 0) as a',
        p.pronamespace::regnamespace,
        p.proname,
        (select string_agg(format('a.a%s', a.n), ', ' order by a.n) from unnest(p.proargtypes) with ordinality as a (type, n)),
        (
          select string_agg(format('null::%s as a%s', format_type(a.type, null), a.n), ', ' order by a.n)
          from unnest(p.proargtypes) with ordinality as a (type, n)
        )
      ) as call,
      p.provolatile::text as volatility,
      p.prorettype = 'trigger'::regtype as is_trigger
    from pg_proc as p
    where p.pronamespace = 'rouse'::regnamespace
    order by 1`);
}

async function relations(): Promise<Relation[]> {
  return database.query<Relation & pg.QueryResultRow>(`
    select c.relname::text as name, c.relkind::text as kind, c.relispartition as is_partition
    from pg_class as c
    where c.relnamespace = 'rouse'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
    order by 1`);
}

async function rightsOf(who: Who): Promise<string[]> {
  const rows = await database.query<{ line: string }>(rightsQuery, [roles.name(who)]);
  return rows.map(({ line }) => line);
}

async function expectedRights(level: Level): Promise<string[]> {
  const lines = ["schema: usage", "migration: select"];
  for (const routine of await routines()) {
    if (MAY_EXECUTE[level](routine) && !routine.is_trigger) lines.push(`function ${routine.name}`);
  }
  const columns = await database.query<{ attname: string }>(
    "select attname from pg_attribute where attrelid = 'rouse.job'::regclass and attname = any ($1)",
    [INSERTABLE],
  );
  if (level === "enqueue" || level === "work") lines.push(...columns.map(({ attname }) => `job.${attname}: insert`));
  if (level === "view" || level === "admin") {
    for (const { name, kind, is_partition } of await relations()) {
      if (kind === "S" || is_partition) continue;
      lines.push(`${name}: select`);
      if (level === "admin" && kind !== "v" && name !== "migration" && name !== "access") {
        lines.push(...["insert", "update", "delete"].map((right) => `${name}: ${right}`));
      }
    }
  }
  return [...new Set(lines)].sort();
}

const sorted = (lines: string[]) => [...new Set(lines)].sort();

for (const level of LEVELS) {
  test(`least privilege: ${level} has the rights of its list and no other`, async () => {
    assert.deepEqual(sorted(await rightsOf(level)), await expectedRights(level));
  });

  test(`least privilege: ${level} is refused every function it must not reach`, async () => {
    const client = await roles.connect(level);
    const forbidden = (await routines()).filter((routine) => !MAY_EXECUTE[level](routine));
    assert.ok(level === "admin" || forbidden.length > 20);
    for (const { call } of forbidden) await refused(client, `select ${call}`);
  });

  test(`least privilege: ${level} is refused every table it must not reach`, async () => {
    const client = await roles.connect(level);
    const allowed = await expectedRights(level);
    for (const { name, kind } of await relations()) {
      const lines = allowed.filter((line) => line.startsWith(`${name}:`) || line.startsWith(`${name}.`));
      const may = (right: string) => lines.some((line) => line.endsWith(`: ${right}`));
      if (kind === "S") {
        await refused(client, `select nextval('rouse.${name}')`);
        await refused(client, `select setval('rouse.${name}', 1)`);
        await refused(client, `select last_value from rouse.${name}`);
        continue;
      }
      if (!may("select")) await refused(client, `select from rouse.${name}`);
      if (!may("select")) await refused(client, `copy (select * from rouse.${name}) to stdout`);
      if (kind === "v") continue;
      if (!may("insert")) await refused(client, `insert into rouse.${name} default values`);
      if (!may("delete")) await refused(client, `delete from rouse.${name}`);
      await refused(client, `truncate rouse.${name}`);
      await refused(
        client,
        `create trigger t before insert on rouse.${name} execute function suppress_redundant_updates_trigger()`,
      );
      await refused(client, `alter table rouse.${name} add column more integer`);
      await refused(client, `drop table rouse.${name}`);
    }
    await refused(client, "create table rouse.mine (n integer)");
    await refused(client, "create function rouse.mine() returns integer language sql return 1");
  });
}

/** Insufficient privilege, and nothing else. */
async function refused(client: pg.Client, sql: string): Promise<void> {
  await assert.rejects(client.query(sql), (error: Error & { code?: string }) => {
    assert.equal(error.code, "42501", `${sql}: ${error.message}`);
    return true;
  });
}

test("least privilege: who was granted nothing has no right, and neither has PUBLIC", async () => {
  assert.deepEqual(await rightsOf("stranger"), []);
  const client = await roles.connect("stranger");
  await refused(client, "select rouse.enqueue('x')");
  await refused(client, "select from rouse.jobs");
});

test("least privilege: what is made later is not open to PUBLIC either", async () => {
  const client = await roles.connect("owner");
  const before = (await relations()).length;
  await client.query("select rouse.make_partitions(clock_timestamp() + interval '400 days')");
  assert.ok((await relations()).length > before);
  assert.deepEqual(await rightsOf("stranger"), []);
  for (const level of LEVELS) assert.deepEqual(sorted(await rightsOf(level)), await expectedRights(level));
});

test("least privilege: an upgrade gives each level what it brings, and PUBLIC nothing", async () => {
  const client = await roles.connect("owner");
  await client.query(`
    create function rouse.other_v1() returns integer language sql return 1;
    create function rouse.other() returns integer language sql return 1;
    create table rouse.other (n integer);
    create type rouse.other_type as (n integer)`);
  try {
    assert.ok((await rightsOf("stranger")).includes("function other_v1"));
    await client.query("select rouse.apply_access()");
    assert.deepEqual(await rightsOf("stranger"), []);
    assert.ok((await rightsOf("work")).includes("function other_v1"));
    assert.ok(!(await rightsOf("work")).includes("function other"));
    assert.ok((await rightsOf("view")).includes("other: select"));
    assert.ok(!(await rightsOf("view")).includes("other: insert"));
    assert.ok((await rightsOf("admin")).includes("other: insert"));
    for (const level of LEVELS) assert.deepEqual(sorted(await rightsOf(level)), (await expectedRights(level)).sort());
  } finally {
    await client.query(
      "drop function rouse.other_v1(); drop function rouse.other(); drop table rouse.other; drop type rouse.other_type",
    );
  }
});

test("least privilege: every migration ends by applying the levels again", async () => {
  const folder = new URL("../../sql/committed/", import.meta.url);
  for (const file of await readdir(folder)) {
    const text = await readFile(new URL(file, folder), "utf8");
    if (text.includes("--! no-transaction")) continue;
    const statements = text.split("\n").filter((line) => line !== "" && !line.startsWith("--"));
    assert.equal(statements.at(-1), "select :SCHEMA.apply_access();", file);
  }
});
