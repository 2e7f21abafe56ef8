import assert from "node:assert/strict";
import test, { after, afterEach, before } from "node:test";
import pg from "pg";
import { migrate } from "../../src/migrate/index.ts";
import { testDatabase } from "../support/database.ts";
import { takeJobs, takePayloads, unwatch, watch } from "./support.ts";

const database = testDatabase();
const { pool, query } = database;
const owner = `rouse_test_owner_${process.pid}`;
const writer = `rouse_test_writer_${process.pid}`;

before(() => onServer(`create role ${owner}; create role ${writer}`));
after(() => onServer(`drop role ${owner}; drop role ${writer}`));

afterEach(async () => {
  await query("select rouse.unwatch(name) from rouse.watch");
  await takeJobs(database);
});

async function onServer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: process.env.ROUSE_TEST_SERVER });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

/** A session that has the rights of a role and no others. */
async function connectAs(role: string): Promise<pg.Client> {
  const client = await database.connect();
  await client.query(`set session authorization ${role}`);
  return client;
}

test("C5: a row of 1 MB, and one of 3 MB, in every payload", async () => {
  await query("create table document (id integer primary key, body text)");
  for (const payload of ["key", "row", "change", "changed", "jsonb_build_object('body', new.body)"]) {
    await watch(pool, "document", { task: payload, payload, events: ["insert", "update"] });
  }
  for (const size of [1024 * 1024, 3_000_000]) {
    await query("insert into document values ($1, repeat('é', $1 / 2))", [size]);
    await query("update document set body = body || 'x' where id = $1", [size]);
    await query("update document set body = body where id = $1", [size]);
  }
  const jobs = await query(
    `select task, count(*)::integer, max(octet_length(coalesce(payload, payload) ->> 'body')) as body,
       max(octet_length(payload -> 'new' ->> 'body')) as new
     from rouse.job group by task order by task`,
  );
  assert.deepEqual(jobs, [
    { task: "change", count: 6, body: null, new: 3_000_001 },
    { task: "changed", count: 4, body: null, new: 3_000_001 },
    { task: "jsonb_build_object('body', new.body)", count: 6, body: 3_000_001, new: null },
    { task: "key", count: 6, body: null, new: null },
    { task: "row", count: 6, body: 3_000_001, new: null },
  ]);
});

test("C5: any identifier, and any name of a watch, task or topic", async () => {
  await query(`
    create schema "Odd ""schema'; --";
    create table "Odd ""schema'; --"."t%s; drop table job $1" (
      "Id" integer, "new" integer, "old" text, "a""b" text, "it's" text, "tg_op" text, "changes" text, "few" text,
      "$rouse$" text, "select" text, "a row" text, "pair" text, "n" integer, "r" integer, "payload" text, "key" text, "ü %I" text,
      primary key ("Id", "ü %I")
    )`);
  const table = `"Odd ""schema'; --"."t%s; drop table job $1"`;
  const name = 'it\'s "the" $rouse$ %s watch;\n-- select 1';
  const task = 'task\'s "name" $$ %s,{}\\';
  for (const payload of ["key", "row", "change", "changed"]) {
    await watch(pool, table, {
      ...{ task, payload, name: `${payload} ${name}`, topic: task },
      ...{ columns: ["new", 'a"b', "it's", "ü %I", "payload"], condition: `coalesce(new."new", old."new") > 0` },
    });
  }
  await watch(pool, table, { task, name: "keyed", unique_key: "key", queue: `new."ü %I"`, events: ["insert"] });
  await query(`insert into ${table} ("Id", "new", "ü %I", "n") values (1, 5, 'q', 3), (2, 6, 'q', 4), (3, 0, 'q', 5)`);
  await query(`update ${table} set "a""b" = 'x', "it's" = $1`, [`'"\\`]);
  await query(`delete from ${table}`);
  assert.deepEqual(await query("select * from rouse.watch_error"), []);
  const jobs = await takeJobs(database);
  assert.equal(jobs.length, 4 * 3 * 2 + 3);
  assert.deepEqual(
    jobs.filter((job) => job.unique_key).map((job) => [job.task, job.queue, job.unique_key]),
    [1, 2, 3].map((id) => [task, "q", `[${id}, "q"]`]),
  );
  const changed = jobs.find((job) => JSON.stringify(job.payload).includes('"key"') && hasEvent(job.payload, "update"));
  assert.deepEqual(changed?.payload, {
    event: "update",
    key: { Id: 1, "ü %I": "q" },
    old: { 'a"b': null, "it's": null },
    new: { 'a"b': "x", "it's": `'"\\` },
  });
  const triggers = await query("select from pg_trigger where tgname like 'rouse%' and tgrelid = $1::regclass", [table]);
  assert.equal(triggers.length, 13);
});

const hasEvent = (payload: unknown, event: string) =>
  (payload as { event?: string }).event === event && "key" in Object(payload);

test("C5: an installation with an odd name watches beside another one", async () => {
  const schema = `My "queue"'s %s\\`;
  const quoted = pg.escapeIdentifier(schema);
  await migrate({ connectionString: database.url, schema });
  await query("create table shared (id integer primary key)");
  await query(`select ${quoted}.watch('shared', 't', payload => 'row', coalesce_key => 'key', topic => 'x')`);
  await watch(pool, "shared", { task: "t", payload: "row" });
  await query("insert into shared select n from generate_series(1, 20) as n; update shared set id = id where id = 20");
  assert.equal((await takePayloads(database)).length, 21);
  assert.deepEqual(await query(`select count(*)::integer from ${quoted}.job`), [{ count: 20 }]);
  assert.deepEqual(await query(`select status from ${quoted}.watches`), [{ status: "active" }]);
  assert.deepEqual(await query(`select ${quoted}.unwatch(name) from ${quoted}.watch`), [{ unwatch: true }]);
});

test("C5: stored generated columns have their values", async () => {
  await query(
    "create table price (id integer primary key, net integer, gross integer generated always as (net * 2) stored)",
  );
  await watch(pool, "price", { task: "t", columns: ["gross"], condition: "new.gross > 10" });
  await query("insert into price values (1, 10), (2, 1)");
  await query("update price set net = 20 where id = 1");
  assert.deepEqual(await takePayloads(database), [
    { event: "insert", old: null, new: { id: 1, net: 10, gross: 20 } },
    { event: "update", old: { id: 1, net: 10, gross: 20 }, new: { id: 1, net: 20, gross: 40 } },
  ]);
});

test("C5: virtual generated columns are computed, at both levels of triggers", async (context) => {
  const [{ version }] = (await query("select current_setting('server_version_num')::integer as version")) as [
    { version: number },
  ];
  if (version < 180000) return context.skip("PostgreSQL 18 has them first");
  await query(`
    create table tag (id integer primary key, "the Name" text, upper text generated always as (upper("the Name")) virtual);
    create table parted_tag (like tag including all) partition by range (id);
    create table parted_tag_1 partition of parted_tag for values from (0) to (1000)`);
  const row = (id: number, name: string) => ({ id, "the Name": name, upper: name.toUpperCase() });
  for (const table of ["tag", "parted_tag"]) {
    await watch(pool, table, { task: "t", columns: ["upper"], condition: "coalesce(new.upper, old.upper) <> 'X'" });
    await query(`insert into ${table} values (1, 'a'), (2, 'b'), (3, 'x')`);
    await query(`update ${table} set "the Name" = "the Name" || 'c'`);
    await query(`update ${table} set "the Name" = upper("the Name") where id = 1`);
    await query(`delete from ${table} where id = 1`);
    assert.deepEqual(await takePayloads(database), [
      { event: "insert", old: null, new: row(1, "a") },
      { event: "insert", old: null, new: row(2, "b") },
      { event: "update", old: row(1, "a"), new: row(1, "ac") },
      { event: "update", old: row(2, "b"), new: row(2, "bc") },
      { event: "update", old: row(3, "x"), new: row(3, "xc") },
      { event: "delete", old: row(1, "AC"), new: null },
    ]);
  }
});

test("C5: whoever owns or writes to the table needs no right on the queue", async () => {
  await query(`
    create schema app;
    grant usage on schema app to ${owner}, ${writer};
    create table app.account (id integer primary key, email text);
    alter table app.account owner to ${owner}`);
  await watch(pool, "app.account", { task: "welcome", topic: "accounts", payload: "row", context: ["app.tenant"] });
  const asOwner = await connectAs(owner);
  await asOwner.query(`grant select, insert, update on app.account to ${writer}`);
  const asWriter = await connectAs(writer);
  for (const client of [asOwner, asWriter]) {
    await assert.rejects(client.query("select * from rouse.job"), /permission denied/);
    await assert.rejects(client.query("select rouse.enqueue('t')"), /permission denied/);
    await assert.rejects(client.query("select rouse.watch('app.account', 't')"), /permission denied/);
  }
  await asWriter.query("insert into app.account values (1, 'a@example.com')");
  await asOwner.query("insert into app.account select n, 'b@example.com' from generate_series(2, 30) as n");
  await asWriter.query("update app.account set email = upper(email) where false");
  assert.equal((await takeJobs(database)).length, 30);

  // The trigger functions are nobody else's: on a table of one's own they would be a way into the queue.
  const [{ name }] = (await query("select proname as name from pg_proc where proname ~ '^watch_[0-9]+$'")) as [
    { name: string },
  ];
  await asOwner.query("create temp table mine (id integer, email text)");
  await query(`grant usage on schema rouse to ${owner}`);
  await assert.rejects(
    asOwner.query(`create trigger t after insert on mine for each row execute function rouse.${name}()`),
    /permission denied for function/,
  );
  await query(`drop owned by ${owner}, ${writer}; drop schema app cascade`);
});

test("C5: an owner of the queue who is no superuser needs the TRIGGER right, to watch and to unwatch", async () => {
  await query(`
    create schema queue_of_owner authorization ${owner};
    create table public.theirs (id integer primary key, n integer)`);
  const asOwner = await connectAs(owner);
  await migrate({ client: asOwner, schema: "queue_of_owner" });
  const watchIt = () =>
    asOwner.query("select queue_of_owner.watch('public.theirs', 't', columns => '{n}', events => '{update,insert}')");
  await assert.rejects(watchIt(), (error: pg.DatabaseError) => {
    assert.equal(error.code, "42501");
    assert.match(error.message, /may not create triggers on public\.theirs/);
    assert.match(error.hint ?? "", /grant trigger on public\.theirs to/);
    return true;
  });
  await query(`grant trigger on public.theirs to ${owner}`);
  await watchIt();
  await query("insert into theirs values (1, 1); update theirs set n = 2");
  await asOwner.query("select queue_of_owner.watch('public.theirs', 't', events => '{delete}')");
  await query("insert into theirs values (2, 2); delete from theirs");
  assert.deepEqual(
    (await asOwner.query("select payload ->> 'event' as event from queue_of_owner.job order by id")).rows.map(
      ({ event }) => event,
    ),
    ["insert", "update", "delete", "delete"],
  );
  await asOwner.query("select queue_of_owner.unwatch('public.theirs.t')");
  assert.deepEqual(await query("select from pg_trigger where tgrelid = 'theirs'::regclass"), []);
  await query(`drop owned by ${owner} cascade`);
  assert.equal(await unwatch(pool, "none"), false);
});
