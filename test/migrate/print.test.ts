import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { readCatalog } from "../../scripts/sql-catalog.ts";
import { migrate, migrationSql } from "../../src/migrate/index.ts";
import { migrateWith } from "../../src/migrate/migrate.ts";
import { migrationSqlFrom } from "../../src/migrate/print.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { colour, columns, migrationFolder, nameIndex, newSchema, size, thing } from "./support.ts";

const migrated = testDatabase({ template: "empty" });
const printed = testDatabase({ template: "empty" });
const psql = await promisify(execFile)("psql", ["--version"]).then(
  () => true,
  () => false,
);

/** What a plain client sends as one query, and psql statement by statement. */
async function applyPlain(database: TestDatabase, sql: string): Promise<void> {
  const client = await database.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function history(database: TestDatabase, schema: string): Promise<unknown[]> {
  return database.query(
    `select number, file, hash, previous_hash, rouse_version, compatible_from from "${schema.replaceAll('"', '""')}".migration`,
  );
}

for (const schema of ["rouse", `two's "odd" \\ schema :SCHEMA`]) {
  test(`B21: the printed SQL makes the same schema ${schema} as migrate does, bookkeeping included`, async () => {
    await migrate({ connectionString: migrated.url, schema });
    await applyPlain(printed, await migrationSql({ schema }));
    const [one, other] = [await migrated.connect(), await printed.connect()];
    assert.deepEqual(await readCatalog(other, schema), await readCatalog(one, schema));
    assert.deepEqual(await history(printed, schema), await history(migrated, schema));
    assert.deepEqual((await migrate({ connectionString: printed.url, schema })).applied, []);
  });
}

test("B21: the printed SQL run again changes nothing and says so", async () => {
  const schema = newSchema();
  const sql = await migrationSqlFrom({ schema }, await migrationFolder(thing, colour));
  await applyPlain(printed, sql);
  await assert.rejects(applyPlain(printed, sql), {
    message: "Migration 000001 is already applied to this schema, nothing was changed.",
    hint: "What follows is printed by: rouse migrate --sql --after 2",
    code: "55000",
  });
  assert.equal((await history(printed, schema)).length, 2);
});

test("B21: printed SQL and migrate may take turns", async () => {
  const schema = newSchema();
  await migrateWith({ connectionString: printed.url, schema }, { folder: await migrationFolder(thing) });
  const three = await migrationFolder(thing, colour, size);
  await assert.rejects(
    applyPlain(printed, await migrationSqlFrom({ schema, after: 2 }, three)),
    /Migration 000003 follows 2, but this schema ends at 1/,
  );
  await applyPlain(printed, await migrationSqlFrom({ schema, after: 1 }, three));
  assert.deepEqual(await columns(printed, schema), ["id", "name", "colour", "size"]);
  const result = await migrateWith({ connectionString: printed.url, schema }, { folder: three });
  assert.deepEqual(result, { applied: [], version: "000003" });
  await assert.rejects(migrationSqlFrom({ schema, after: 3 }, three), /nothing to print after migration 3/);
  await assert.rejects(migrationSqlFrom({ schema, shard: 1.5 }, three), /shard 1\.5/);
});

test("B21: psql applies the printed SQL, index outside of a transaction included", {
  skip: !psql && "no psql",
}, async () => {
  const schema = `psql "odd"`;
  const folder = await migrationFolder(thing, nameIndex, colour);
  const file = join(folder, "printed.txt");
  await writeFile(file, await migrationSqlFrom({ schema }, folder));
  const run = () => promisify(execFile)("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, printed.url]);
  await run();
  assert.deepEqual(await columns(printed, schema), ["id", "name", "colour"]);
  await assert.rejects(run(), /already applied/);
  const result = await migrateWith({ connectionString: printed.url, schema }, { folder });
  assert.deepEqual(result.applied, []);
});
