import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import pg from "pg";
import { readMigrations } from "../../src/migrate/files.ts";
import { migrate } from "../../src/migrate/index.ts";
import { migrateWith } from "../../src/migrate/migrate.ts";
import { checkAgainst } from "../../src/migrate/version.ts";
import { testDatabase } from "../support/database.ts";
import { colour, migrationFolder, newSchema, thing } from "./support.ts";

const database = testDatabase({ template: "empty" });
const role = `rouse_test_app_${process.pid}`;
const other = `rouse_test_other_${process.pid}`;

// Roles belong to the server. The hooks run in this order: the database that holds what the roles own is gone before they go.
before(() => onServer(`create role ${role}; create role ${other}`));
after(() => onServer(`drop role ${role}; drop role ${other}`));

async function onServer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: process.env.ROUSE_TEST_SERVER });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

/** A session that has the rights of a role and no others. */
async function connectAs(name: string): Promise<pg.Client> {
  const client = await database.connect();
  await client.query(`set session authorization ${name}`);
  return client;
}

async function ownerOf(schema: string): Promise<string[]> {
  const rows = await database.query<{ owner: string }>(
    `select distinct pg_get_userbyid(relowner)::text as owner from pg_class where relnamespace = $1::regnamespace`,
    [schema],
  );
  return rows.map(({ owner }) => owner);
}

test("B21: a role that is no superuser installs the engine in a schema that was made for it", async () => {
  const schema = newSchema();
  await database.query(`create schema ${schema} authorization ${role}`);
  const { applied } = await migrate({ client: await connectAs(role), schema });
  assert.ok(applied.length > 0);
  assert.deepEqual(await ownerOf(schema), [role]);
});

test("B21: a role that may use a schema, without owning it, is enough", async () => {
  const schema = newSchema();
  await database.query(`create schema ${schema}`);
  await database.query(`grant usage, create on schema ${schema} to ${role}`);
  await migrateWith({ client: await connectAs(role), schema }, { folder: await migrationFolder(thing) });
  assert.deepEqual(await ownerOf(schema), [role]);
});

test("B21: a role without the right to create the schema is told what to grant", async () => {
  const schema = newSchema();
  const client = await connectAs(role);
  await assert.rejects(migrate({ client, schema }), (error: Error) => {
    assert.match(error.message, new RegExp(`role "${role}" may not create the schema "${schema}"`));
    assert.match(error.message, new RegExp(`grant create on database ".*" to "${role}"`));
    assert.match(error.message, new RegExp(`create schema "${schema}" authorization "${role}"`));
    return true;
  });
  assert.deepEqual(await database.query("select from pg_namespace where nspname = $1", [schema]), []);
  const { rows } = await database.pool.query("select current_database() as name");
  await database.query(`grant create on database ${rows[0].name} to ${role}`);
  await migrateWith({ client, schema }, { folder: await migrationFolder(thing) });
  await database.query(`revoke create on database ${rows[0].name} from ${role}`);
});

test("B21: a role that may not create in the schema is told what to grant", async () => {
  const schema = newSchema();
  await database.query(`create schema ${schema}`);
  await assert.rejects(
    migrate({ client: await connectAs(role), schema }),
    new RegExp(`grant usage, create on schema "${schema}" to "${role}"`),
  );
});

test("B21: a role that is not the owner's migrates nothing, and may not read what it has no right to", async () => {
  const schema = newSchema();
  const [one, two] = [await migrationFolder(thing), await migrationFolder(thing, colour)];
  await database.query(`create schema ${schema} authorization ${role}`);
  await migrateWith({ client: await connectAs(role), schema }, { folder: one });
  const client = await connectAs(other);
  const migrations = await readMigrations(one);
  await assert.rejects(checkAgainst(migrations, client, schema), /may not read the table migration .* grant_access/);
  await database.query(
    `grant usage, create on schema ${schema} to ${other}; grant select on ${schema}.migration to ${other}`,
  );
  assert.equal((await checkAgainst(migrations, client, schema)).version, "000001");
  await assert.rejects(
    migrateWith({ client, schema }, { folder: two }),
    new RegExp(`belong to the role ${role}, and "${other}" is no member of it\\. Migrate as ${role}`),
  );
});

test("B21: whoever may act as the owner migrates, and the objects keep one owner", async () => {
  const schema = newSchema();
  await database.query(`create schema ${schema} authorization ${role}`);
  await migrateWith({ client: await connectAs(role), schema }, { folder: await migrationFolder(thing) });
  const more = { body: "create table :SCHEMA.more (id integer);" };
  const index = { body: "--! no-transaction\ncreate index concurrently if not exists more_id on :SCHEMA.more (id);" };
  const client = await database.connect();
  await migrateWith({ client, schema }, { folder: await migrationFolder(thing, more, index) });
  assert.deepEqual(await ownerOf(schema), [role]);
  const { rows } = await client.query("select current_setting('role') as role");
  assert.deepEqual(rows, [{ role: "none" }]);
});
