import { readFileSync } from "node:fs";
import { MigrationError } from "./errors.ts";
import { type Migration, readMigrations } from "./files.ts";
import { readHistory, verifyHistory } from "./history.ts";
import { checkSchemaName } from "./schema.ts";
import type { Queryable } from "./session.ts";

/** The migration that this version's workers need at least. New workers run on the schema of the release before. */
const oldestSchema = 1;

export function rouseVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return version;
}

/** What a worker found at its start. */
export interface SchemaVersion {
  /** The newest migration of the database, e.g. `000003`. */
  readonly version: string;
  /** How many migrations of this package the database has not seen yet; the worker runs without them. */
  readonly pending: number;
}

/**
 * Verifies that workers of this version can run on the database's schema. Older and newer schemas are fine, unless one says
 * otherwise (`compatible_from`), so that processes and database need not be upgraded at the same moment.
 *
 * @throws MigrationError where Rouse is not installed in the schema or where the two are too far apart.
 */
export async function checkVersion(client: Queryable, schema: string = "rouse"): Promise<SchemaVersion> {
  return checkAgainst(await readMigrations(), client, schema);
}

export async function checkAgainst(
  migrations: readonly Migration[],
  client: Queryable,
  schema: string,
): Promise<SchemaVersion> {
  const history = (await readHistory(client, checkSchemaName(schema))) ?? [];
  const last = history.at(-1);
  if (!last) {
    throw new MigrationError(`Rouse is not installed in schema "${schema}" of this database. Run "rouse migrate".`);
  }
  verifyHistory(history, migrations, schema);
  if (last.number < oldestSchema) {
    throw new MigrationError(
      `The schema "${schema}" is too old for this Rouse (${rouseVersion()}): it ends at ${last.file}. Run "rouse migrate".`,
    );
  }
  for (const { number, compatible_from, rouse_version, file } of history) {
    if (number > migrations.length && compatible_from !== null && compatible_from > migrations.length) {
      throw new MigrationError(
        `The schema "${schema}" was migrated by a newer Rouse (${rouse_version} applied ${file}), on which workers of ` +
          `version ${rouseVersion()} cannot run. Upgrade this package.`,
      );
    }
  }
  return { version: versionOf(last), pending: Math.max(0, migrations.length - last.number) };
}

/** `000003` for `000003-a-message.sql`. */
export function versionOf(migration: { readonly number: number }): string {
  return String(migration.number).padStart(6, "0");
}
