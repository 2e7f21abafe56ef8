import pg from "pg";
import { MigrationError } from "./errors.ts";
import { brokenIndex, type Install, type Migration, readInstall, readMigrations } from "./files.ts";
import { insertHistory } from "./history.ts";
import { checkShard } from "./migrate.ts";
import { checkSchemaName, fillSchema, migrationLockKey } from "./schema.ts";
import { rouseVersion, versionOf } from "./version.ts";

export interface MigrationSqlOptions {
  /** The schema to install in; default `rouse`. */
  schema?: string | undefined;
  /** Print only what follows this migration, for a database that has it already; default 0, everything. */
  after?: number | undefined;
  /** 0 to 511, see `migrate`. */
  shard?: number | undefined;
}

/**
 * The migrations as plain SQL for `psql -v ON_ERROR_STOP=1 -f`, with the same bookkeeping that `migrate` does, so that the two
 * may take turns. Each file is one transaction that takes the lock and verifies that exactly the files before it are applied;
 * run again it changes nothing and fails with an error that says so.
 */
export async function migrationSqlFrom(options: MigrationSqlOptions, folder?: string): Promise<string> {
  const schema = checkSchemaName(options.schema ?? "rouse");
  const shard = checkShard(options.shard);
  const migrations = await readMigrations(folder);
  const install = await readInstall();
  const after = options.after ?? 0;
  if (!Number.isInteger(after) || after < 0 || after >= migrations.length) {
    throw new MigrationError(
      `There is nothing to print after migration ${after}: the last one is ${migrations.length}.`,
    );
  }
  const parts = [
    `-- Rouse ${rouseVersion()}, migrations ${after + 1} to ${migrations.length}, for the schema ${pg.escapeIdentifier(schema)}.\n` +
      "-- Run as the role that is to own the objects: psql -v ON_ERROR_STOP=1 -f\n",
    ...migrations.slice(after).map((migration) => printMigration(migration, install, schema)),
  ];
  if (shard !== undefined) parts.push(fillSchema(`select :SCHEMA.use_shard(${shard});\n`, schema));
  return parts.join("\n");
}

function printMigration(migration: Migration, install: Install, schema: string): string {
  const body = fillSchema(migration.body, schema).trim();
  const begin = [
    "begin isolation level read committed, read write;",
    "set local search_path = pg_catalog, pg_temp;",
    "set local statement_timeout = 0;",
    "set local lock_timeout = 0;",
    `select pg_catalog.pg_advisory_xact_lock(${migrationLockKey(schema)});`,
    "set local lock_timeout = '10s';",
    printGuard(migration, install, schema),
  ];
  const record = printRecord(migration, schema);
  const title = `-- ${migration.file}`;
  if (migration.transaction) return [title, ...begin, body, record, "commit;\n"].join("\n");
  // Verified and recorded in transactions of their own, around the one statement that must not run in any.
  const cleanup = brokenIndex(migration);
  const statements = [...(cleanup ? [fillSchema(cleanup, schema)] : []), `${body}\n;`];
  return [title, ...begin, "commit;", ...statements, record, ""].join("\n");
}

function printRecord(migration: Migration, schema: string): string {
  const { number, file, hash, previousHash, compatibleFrom } = migration;
  const values = [
    number,
    pg.escapeLiteral(file),
    pg.escapeLiteral(hash),
    previousHash === null ? "null" : pg.escapeLiteral(previousHash),
    pg.escapeLiteral(rouseVersion()),
    compatibleFrom ?? "null",
  ];
  return `${fillSchema(insertHistory, schema).trim()}\nvalues (${values.join(", ")});`;
}

/** Refuses a schema that does not end right before this migration; the first one makes the schema and the bookkeeping. */
function printGuard(migration: Migration, install: Install, schema: string): string {
  const { number } = migration;
  return `do $rouse_migrate$
declare
  last integer;
begin
  if pg_catalog.current_setting('server_version_num')::integer < 150000 then
    raise exception 'Rouse needs PostgreSQL 15 or later; this server is %', pg_catalog.current_setting('server_version')
      using errcode = 'feature_not_supported', hint = 'Upgrade the server.';
  end if;${number === 1 ? printInstall(install, schema) : ""}
  select coalesce(max(number), 0) into last from ${pg.escapeIdentifier(schema)}.migration;
  if last >= ${number} then
    raise exception 'Migration ${versionOf(migration)} is already applied to this schema, nothing was changed.'
      using errcode = 'object_not_in_prerequisite_state',
        hint = pg_catalog.format('What follows is printed by: rouse migrate --sql --after %s', last);
  end if;
  if last < ${number - 1} then
    raise exception 'Migration ${versionOf(migration)} follows ${number - 1}, but this schema ends at %.', last
      using errcode = 'object_not_in_prerequisite_state',
        hint = pg_catalog.format('What is missing is printed by: rouse migrate --sql --after %s', last);
  end if;
end
$rouse_migrate$;`;
}

/** `create schema if not exists` would ask for the right to create one even where it exists. */
function printInstall(install: Install, schema: string): string {
  const oid = `(select oid from pg_catalog.pg_namespace where nspname = ${pg.escapeLiteral(schema)})`;
  return `
  if ${oid} is null then
    ${fillSchema(install.schema, schema).trim()}
  end if;
  if not exists (select from pg_catalog.pg_class where relname = 'migration' and relnamespace = ${oid}) then
    ${fillSchema(install.history, schema).trim()}
  end if;`;
}
