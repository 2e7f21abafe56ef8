import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { promisify } from "node:util";
import { migrateWith } from "../../src/migrate/migrate.ts";
import { testDatabase } from "../support/database.ts";
import { colour, columns, migrationFolder, newSchema, thing } from "./support.ts";

const database = testDatabase({ template: "empty" });

test("B21: a user's own graphile-migrate project in the same database and ours do not see each other", async () => {
  const schema = newSchema();
  const project = await mkdtemp(join(tmpdir(), "rouse-project-"));
  after(() => rm(project, { recursive: true, force: true }));
  const theirs = await migrationFolder({ body: "create table public.theirs (id integer);" });
  await mkdir(join(project, "migrations"));
  await promisify(execFile)("cp", ["-r", theirs, join(project, "migrations/committed")]);
  await writeFile(join(project, "migrations/current.sql"), "");
  await writeFile(join(project, ".gmrc"), "{}");

  await migrateWith({ connectionString: database.url, schema }, { folder: await migrationFolder(thing) });
  const cli = createRequire(import.meta.url).resolve("graphile-migrate/dist/cli.js");
  await promisify(execFile)(process.execPath, [cli, "migrate"], {
    cwd: project,
    env: { ...process.env, DATABASE_URL: database.url },
  });
  assert.deepEqual(await database.query("select to_regclass('public.theirs')::text as theirs"), [{ theirs: "theirs" }]);
  await migrateWith({ connectionString: database.url, schema }, { folder: await migrationFolder(thing, colour) });

  assert.deepEqual(await columns(database, schema), ["id", "name", "colour"]);
  assert.deepEqual(await database.query("select filename from graphile_migrate.migrations"), [
    { filename: "000001.sql" },
  ]);
  assert.equal((await database.query(`select from ${schema}.migration`)).length, 2);
});
