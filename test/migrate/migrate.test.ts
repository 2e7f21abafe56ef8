import assert from "node:assert/strict";
import { appendFile, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { readMigrations } from "../../src/migrate/files.ts";
import { checkVersion, migrate } from "../../src/migrate/index.ts";
import { migrateWith } from "../../src/migrate/migrate.ts";
import type { Queryable } from "../../src/migrate/session.ts";
import { checkAgainst, rouseVersion } from "../../src/migrate/version.ts";
import { testDatabase } from "../support/database.ts";
import { colour, columns, migrationFolder, nameIndex, newSchema, size, thing } from "./support.ts";

const database = testDatabase({ template: "empty" });

test("B21: the released migrations install the engine from empty, and again nothing", async () => {
  await assert.rejects(checkVersion(database.pool), /not installed in schema "rouse".*rouse migrate/);
  const files = (await readMigrations()).map(({ file }) => file);
  const first = await migrate({ connectionString: database.url });
  assert.deepEqual(first.applied, files);
  assert.deepEqual(await migrate({ connectionString: database.url }), { applied: [], version: first.version });
  const [row] = await database.query("select count(*)::integer as jobs from rouse.jobs");
  assert.deepEqual(row, { jobs: 0 });
  assert.deepEqual(await checkVersion(database.pool), { version: first.version, pending: 0 });
});

test("B21: two installations of the engine share a database, one of them under an odd name", async () => {
  const odd = `my "odd" schema's \\ näme; -- $& %s :SCHEMA`;
  await migrate({ connectionString: database.url, schema: odd });
  const quoted = `"${odd.replaceAll('"', '""')}"`;
  await database.query(`select ${quoted}.enqueue('greet')`);
  const [row] = await database.query(
    `select (select count(*)::integer from rouse.job) as here, (select count(*)::integer from ${quoted}.job) as there`,
  );
  assert.deepEqual(row, { here: 0, there: 1 });
});

test("B21: what is missing is applied in order, and recorded", async () => {
  const schema = newSchema();
  const one = await migrationFolder(thing);
  const three = await migrationFolder(thing, colour, size);
  await migrateWith({ connectionString: database.url, schema }, { folder: one });
  await database.query(`insert into ${schema}.thing values (1, 'kept')`);
  const result = await migrateWith({ connectionString: database.url, schema }, { folder: three });
  assert.deepEqual(result, { applied: ["000002.sql", "000003.sql"], version: "000003" });
  assert.deepEqual(await columns(database, schema), ["id", "name", "colour", "size"]);
  assert.deepEqual(await database.query(`select * from ${schema}.thing`), [
    { id: 1, name: "kept", colour: null, size: null },
  ]);
  const files = await readMigrations(three);
  assert.deepEqual(
    await database.query(
      `select number, file, hash, previous_hash, rouse_version from ${schema}.migration order by number`,
    ),
    files.map(({ number, file, hash, previousHash }) => ({
      number,
      file,
      hash,
      previous_hash: previousHash,
      rouse_version: rouseVersion(),
    })),
  );
});

test("B21: a migration that fails leaves nothing of itself, and says where it failed", async () => {
  const schema = newSchema();
  const wrong = {
    body: "create table :SCHEMA.half (id integer);\n--! Included tables/x.sql\n\nselect no_such;\n--! EndIncluded tables/x.sql",
  };
  const folder = await migrationFolder(thing, wrong);
  await assert.rejects(migrateWith({ connectionString: database.url, schema }, { folder }), {
    name: "MigrationError",
    message: /^000002\.sql failed at line 7 \(sql\/fixtures\/tables\/x\.sql line 2\): column "no_such" does not exist/,
  });
  const [row] = await database.query("select to_regclass($1) as half", [`${schema}.half`]);
  assert.deepEqual(row, { half: null });
  const repaired = await migrationFolder(thing, colour);
  const result = await migrateWith({ connectionString: database.url, schema }, { folder: repaired });
  assert.deepEqual(result.applied, ["000002.sql"]);
});

test("B21: names that cannot be a schema are refused before anything is tried", async () => {
  const refused: [string, RegExp][] = [
    ["", /it is empty/],
    ["pg_rouse", /start with pg_/],
    ["é".repeat(32), /64 bytes, PostgreSQL keeps at most 63/],
    ["a\nb", /control character/],
    ["a$$b", /more than one dollar sign/],
    ["information_schema", /belongs to PostgreSQL/],
  ];
  for (const [schema, reason] of refused) {
    await assert.rejects(migrate({ connectionString: "postgres://127.0.0.1:1/none", schema }), reason);
  }
  await assert.rejects(
    migrate({ connectionString: "postgres://127.0.0.1:1/none", shard: 512 }),
    /shard 512.* 0 to 511/,
  );
  await migrateWith(
    { connectionString: database.url, schema: "é".repeat(31) },
    { folder: await migrationFolder(thing) },
  );
});

test("B21: a damaged file is an error, and nothing is applied", async () => {
  const schema = newSchema();
  const run = (folder: string) => migrateWith({ connectionString: database.url, schema }, { folder });
  const edited = await migrationFolder(thing, colour);
  await appendFile(join(edited, "000002.sql"), "drop table :SCHEMA.thing;\n");
  await assert.rejects(run(edited), /000002\.sql is damaged or was edited/);

  const windows = await migrationFolder(thing);
  const text = await readFile(join(windows, "000001.sql"), "utf8");
  await writeFile(join(windows, "000001.sql"), text.replaceAll("\n", "\r\n"));
  await assert.rejects(run(windows), /000001\.sql .*line endings/);

  const headless = await migrationFolder(thing);
  await writeFile(join(headless, "000001.sql"), "select 1;\n");
  await assert.rejects(run(headless), /000001\.sql is damaged: its header has no "--! Previous:"/);

  const gap = await migrationFolder(thing, colour, size);
  const lost = await migrationFolder(thing);
  await copyFile(join(gap, "000003.sql"), join(lost, "000003.sql"));
  await assert.rejects(run(lost), /missing before 000003\.sql/);

  const foreign = await migrationFolder(thing);
  await copyFile(join(await migrationFolder(colour, size), "000002.sql"), join(foreign, "000002.sql"));
  await assert.rejects(run(foreign), /000002\.sql does not follow 000001\.sql/);

  const empty = join(lost, "empty");
  await mkdir(empty);
  await assert.rejects(run(empty), /holds none/);
  await assert.rejects(run(join(lost, "nowhere")), /cannot read .*nowhere/);
  assert.deepEqual(await database.query("select from pg_namespace where nspname = $1", [schema]), []);
});

test("B21: a database that was migrated with another file of the same number is refused, by workers too", async () => {
  const schema = newSchema();
  await migrateWith({ connectionString: database.url, schema }, { folder: await migrationFolder(thing, colour) });
  const folder = await migrationFolder(thing, size);
  const message = /was migrated with another 000002\.sql.*Install this package again/;
  await assert.rejects(migrateWith({ connectionString: database.url, schema }, { folder }), message);
  await assert.rejects(checkAgainst(await readMigrations(folder), database.pool, schema), message);
  const remade = await migrationFolder(thing, { ...size, headers: ["--! Unreleased"] });
  await assert.rejects(
    migrateWith({ connectionString: database.url, schema }, { folder: remade }),
    /not released yet and was remade.*drop the schema/,
  );
});

test("B21: a schema of a newer Rouse is not migrated, and older workers run on it", async () => {
  const schema = newSchema();
  await migrateWith({ connectionString: database.url, schema }, { folder: await migrationFolder(thing, colour) });
  const older = await migrationFolder(thing);
  await assert.rejects(
    migrateWith({ connectionString: database.url, schema }, { folder: older }),
    /migrated by a newer Rouse \(.* applied 000002\.sql; this one ends at 000001\.sql\)\. Upgrade this package/,
  );
  assert.deepEqual(await checkAgainst(await readMigrations(older), database.pool, schema), {
    version: "000002",
    pending: 0,
  });
});

test("B21: workers run on an older schema, and on a newer one unless it says from which migration on", async () => {
  const schema = newSchema();
  const breaking = { ...size, headers: ["--! CompatibleFrom: 000002.sql"] };
  const three = await migrationFolder(thing, colour, breaking);
  const [one, two] = [await migrationFolder(thing), await migrationFolder(thing, colour)];
  const check = async (folder: string) => checkAgainst(await readMigrations(folder), database.pool, schema);
  await migrateWith({ connectionString: database.url, schema }, { folder: one });
  assert.deepEqual(await check(three), { version: "000001", pending: 2 });
  await migrateWith({ connectionString: database.url, schema }, { folder: three });
  assert.deepEqual(await check(two), { version: "000003", pending: 0 });
  await assert.rejects(check(one), /newer Rouse .*000003\.sql.* workers of version .* cannot run/);
});

test("B21: an index is built outside of a transaction, and a build that broke off is made good", async () => {
  const schema = newSchema();
  const folder = await migrationFolder(thing, nameIndex, colour);
  await migrateWith({ connectionString: database.url, schema }, { folder: await migrationFolder(thing) });
  await database.query(`insert into ${schema}.thing values (1, 'same'), (2, 'same')`);
  await assert.rejects(
    migrateWith({ connectionString: database.url, schema }, { folder }),
    /could not create unique index/,
  );
  const valid = () =>
    database.query("select indisvalid as valid from pg_index where indexrelid = $1::regclass", [
      `${schema}.thing_name`,
    ]);
  assert.deepEqual(await valid(), [{ valid: false }]);
  await database.query(`delete from ${schema}.thing where id = 2`);
  const result = await migrateWith({ connectionString: database.url, schema }, { folder });
  assert.deepEqual(result.applied, ["000002.sql", "000003.sql"]);
  assert.deepEqual(await valid(), [{ valid: true }]);
});

test("B21: the settings of a session neither reach a migration nor are changed by it", async () => {
  const schema = newSchema();
  const client = await database.connect();
  await client.query("create table if not exists public.thing (wrong text)");
  await client.query("set search_path = public; set statement_timeout = '7s'; set lock_timeout = '8s'");
  // The unqualified name would find the user's table.
  const careless = { body: "--! no-transaction\ncreate index concurrently if not exists careless on thing (wrong);" };
  await assert.rejects(
    migrateWith({ client, schema }, { folder: await migrationFolder(thing, careless) }),
    /relation "thing" does not exist/,
  );
  const settings = await client.query(
    `select current_setting('search_path') as path, current_setting('statement_timeout') as statement,
       current_setting('lock_timeout') as lock,
       (select count(*)::integer from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks`,
  );
  assert.deepEqual(settings.rows, [{ path: "public", statement: "7s", lock: "8s", locks: 0 }]);
});

test("B21: behind a pooler a file without a transaction is refused before it leaves anything in the session", async () => {
  const schema = newSchema();
  const client = await database.connect();
  // What a pooler tells its client is not the number of the process that answers.
  Object.assign(client, { processID: 1 });
  const folder = await migrationFolder(thing, nameIndex);
  await assert.rejects(migrateWith({ client, schema }, { folder }), /a pooler stands in between.*direct connection/);
  assert.equal((await database.query(`select from ${schema}.migration`)).length, 1);
  const { rows } = await client.query("select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()");
  assert.deepEqual(rows, []);
});

test("B21: a client inside of a transaction, and a pool, are refused", async () => {
  const client = await database.connect();
  await client.query("begin");
  await assert.rejects(migrate({ client }), /inside of a transaction/);
  await client.query("rollback");
  await assert.rejects(migrate({ client: database.pool }), /got a pool/);
});

test("B21: a server that is too old, or a standby, is named before anything is changed", async () => {
  const asked: string[] = [];
  const server = (answer: object): Queryable => ({
    async query(text) {
      asked.push(text);
      return { rows: [answer] };
    },
  });
  await assert.rejects(
    migrate({ client: server({ number: "140012", version: "14.12", standby: false }) }),
    /needs PostgreSQL 15 or later; this server is 14\.12/,
  );
  await assert.rejects(
    migrate({ client: server({ number: "180000", version: "18.0", standby: true }) }),
    /standby.*Migrate on the primary/,
  );
  assert.equal(asked.length, 2);
});

test("B21: a server that cannot be reached is named, without the password", async () => {
  await assert.rejects(migrate({ connectionString: "postgres://me:secret@127.0.0.1:1/none" }), (error: Error) => {
    assert.match(error.message, /Cannot connect to PostgreSQL at 127\.0\.0\.1:1, database none: .*ECONNREFUSED/);
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
});

test("B21: a table of somebody else with the bookkeeping's name is left alone", async () => {
  const schema = newSchema();
  await database.query(`create schema ${schema}`);
  await database.query(`create table ${schema}.migration (id integer, name text)`);
  await assert.rejects(
    migrate({ connectionString: database.url, schema }),
    /relation named migration that is not Rouse's/,
  );
});
