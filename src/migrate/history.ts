import { MigrationError, sqlstate } from "./errors.ts";
import type { Migration } from "./files.ts";
import { fillSchema } from "./schema.ts";
import { type Queryable, row, rows } from "./session.ts";

/** A row of the table `migration`: what was applied to this schema, by which Rouse. */
export interface Applied {
  readonly number: number;
  readonly file: string;
  readonly hash: string;
  readonly rouse_version: string;
  readonly compatible_from: number | null;
}

export const insertHistory = `
insert into :SCHEMA.migration (number, file, hash, previous_hash, rouse_version, compatible_from)
`;

/** What was applied so far, in order; null where Rouse is not installed in this schema. */
export async function readHistory(client: Queryable, schema: string): Promise<Applied[] | null> {
  const { found } = await row<{ found: boolean }>(
    client,
    `select exists (
       select from pg_catalog.pg_class as c
       join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
       where n.nspname = $1 and c.relname = 'migration'
     ) as found`,
    [schema],
  );
  if (!found) return null;
  try {
    const select = fillSchema(
      "select number, file, hash, rouse_version, compatible_from from :SCHEMA.migration order by number",
      schema,
    );
    return await rows<Applied>(client, select);
  } catch (cause) {
    if (sqlstate(cause) === "42501") {
      throw new MigrationError(
        `This role may not read the table migration of schema "${schema}". Use the role that migrated, ` +
          "or have it give access with the function grant_access().",
        { cause },
      );
    }
    if (sqlstate(cause) === "42703") {
      throw new MigrationError(
        `The schema "${schema}" holds a relation named migration that is not Rouse's. Choose another schema.`,
        { cause },
      );
    }
    throw cause;
  }
}

/** What is still to be applied. Throws where the database's history is no beginning of ours. */
export function pendingMigrations(
  history: readonly Applied[] | null,
  migrations: readonly Migration[],
  schema: string,
): Migration[] {
  const applied = history ?? [];
  verifyHistory(applied, migrations, schema);
  const newer = applied[migrations.length];
  if (newer) {
    throw new MigrationError(
      `The schema "${schema}" was migrated by a newer Rouse (${newer.rouse_version} applied ${newer.file}; ` +
        `this one ends at ${migrations.at(-1)?.file}). Upgrade this package.`,
    );
  }
  return migrations.slice(applied.length);
}

/** Verifies that the migrations that both sides know are the same. */
export function verifyHistory(applied: readonly Applied[], migrations: readonly Migration[], schema: string): void {
  for (const [index, done] of applied.entries()) {
    const known = migrations[index];
    if (done.number !== index + 1) {
      throw new MigrationError(
        `The table migration of schema "${schema}" has no row number ${index + 1} but a later one. ` +
          "Somebody edited it: restore the missing row.",
      );
    }
    if (known && known.hash !== done.hash) {
      const remedy = known.unreleased
        ? "That migration is not released yet and was remade since. In a development database drop the schema and migrate again."
        : "Somebody edited the file or the table. Install this package again; if the database is right, install the version that migrated it.";
      throw new MigrationError(
        `The schema "${schema}" was migrated with another ${done.file}: Rouse ${done.rouse_version} applied one with the hash ` +
          `${done.hash}, this package's has ${known.hash}. ${remedy}`,
      );
    }
  }
}
