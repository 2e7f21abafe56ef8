import { type MigrateOptions, type MigrateResult, migrateWith } from "./migrate.ts";
import { type MigrationSqlOptions, migrationSqlFrom } from "./print.ts";

export { MigrationError } from "./errors.ts";
export type { MigrateOptions, MigrateResult } from "./migrate.ts";
export type { MigrationSqlOptions } from "./print.ts";
export type { Queryable } from "./session.ts";
export { checkVersion, type SchemaVersion } from "./version.ts";

/**
 * Brings a schema up to this version of Rouse. Safe to call from several processes at once: one does the work, the others wait.
 *
 * @throws MigrationError where it cannot; what was applied until then stays, the file that failed leaves nothing.
 */
export function migrate(options: MigrateOptions = {}): Promise<MigrateResult> {
  return migrateWith(options);
}

/**
 * The migrations as plain SQL for `psql -v ON_ERROR_STOP=1 -f`, with the same bookkeeping that `migrate` does, so that the two
 * may take turns.
 */
export function migrationSql(options: MigrationSqlOptions = {}): Promise<string> {
  return migrationSqlFrom(options);
}
