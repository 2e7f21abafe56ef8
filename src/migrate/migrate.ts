import { applyPending } from "./apply.ts";
import { MigrationError } from "./errors.ts";
import { type Migration, readInstall, readMigrations } from "./files.ts";
import { checkOutsideTransaction, checkServer } from "./preflight.ts";
import { checkSchemaName, fillSchema } from "./schema.ts";
import { connect, type Queryable } from "./session.ts";
import { versionOf } from "./version.ts";

export interface MigrateOptions {
  /** Where to connect; without it and without `client` the PG* environment variables decide. */
  connectionString?: string | undefined;
  /** One open connection outside of a transaction, used instead of a new one and left open. Not a pool. */
  client?: Queryable | undefined;
  /** The schema to install in; default `rouse`. Created where it is missing. */
  schema?: string | undefined;
  /** 0 to 511, the part of job ids that tells servers apart; default: left as it is, 0 at first. */
  shard?: number | undefined;
  /** Gets a line for each thing done or waited for; default: silent. */
  log?: ((line: string) => void) | undefined;
}

export interface MigrateResult {
  /** The files that this call applied, in order; empty where the schema was up to date. */
  applied: string[];
  /** The newest migration of the schema, e.g. `000003`. */
  version: string;
}

/** What only tests change. */
export interface MigrateInternals {
  folder?: string | undefined;
  lockTimeout?: number | undefined;
  lockTries?: number | undefined;
}

/**
 * Brings a schema up to this version of Rouse. Safe to call from several processes at once: one does the work, the others wait.
 *
 * @throws MigrationError where it cannot; what was applied until then stays, the file that failed leaves nothing.
 */
export async function migrateWith(options: MigrateOptions, internals: MigrateInternals = {}): Promise<MigrateResult> {
  const schema = checkSchemaName(options.schema ?? "rouse");
  const shard = checkShard(options.shard);
  const migrations = await readMigrations(internals.folder);
  const install = await readInstall();
  if (options.client) {
    await checkServer(options.client);
    await checkOutsideTransaction(options.client);
    return bringUp(options.client);
  }
  const own = await connect(options.connectionString);
  try {
    await checkServer(own);
    return await bringUp(own);
  } finally {
    await own.end();
  }

  async function bringUp(client: Queryable): Promise<MigrateResult> {
    const applied = await applyPending({
      client,
      schema,
      install,
      migrations,
      log: options.log ?? (() => {}),
      openSecond: options.client ? null : () => connect(options.connectionString),
      lockTimeout: internals.lockTimeout,
      lockTries: internals.lockTries,
    });
    if (shard !== undefined) await useShard(client, schema, shard);
    const last = migrations.at(-1) as Migration;
    return { applied: applied.map(({ file }) => file), version: versionOf(last) };
  }
}

/** Checked before the first change, so that a wrong shard leaves nothing half done. */
export function checkShard(shard: number | undefined): number | undefined {
  if (shard === undefined || (Number.isInteger(shard) && shard >= 0 && shard <= 511)) return shard;
  throw new MigrationError(`The shard ${shard} is not a whole number from 0 to 511.`);
}

async function useShard(client: Queryable, schema: string, shard: number): Promise<void> {
  await client.query(fillSchema("select :SCHEMA.use_shard($1)", schema), [shard]);
}
