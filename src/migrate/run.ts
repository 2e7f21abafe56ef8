import { explain } from "./explain.ts";
import { brokenIndex, type Install, type Migration } from "./files.ts";
import { insertHistory } from "./history.ts";
import { checkRights } from "./preflight.ts";
import { fillSchema } from "./schema.ts";
import { type Queryable, row } from "./session.ts";
import { rouseVersion } from "./version.ts";

/** Where to run a migration. */
export interface Place {
  readonly client: Queryable;
  readonly schema: string;
  readonly install: Install;
}

/** Runs one file inside of the transaction that the caller has begun, the first one with what comes before it. */
export async function runInTransaction(
  place: Place,
  migration: Migration,
  installed: boolean,
  lockTimeout: number,
): Promise<void> {
  const { client, schema, install } = place;
  const { exists, owner } = await checkRights(client, schema);
  await set(client, { ...settings, lock_timeout: String(lockTimeout), ...asOwner(owner) }, true);
  if (!exists) await client.query(fillSchema(install.schema, schema));
  if (!installed) await client.query(fillSchema(install.history, schema));
  await run(place, migration);
  await record(place, migration);
}

/**
 * Runs a file of one statement that cannot run in a transaction, under the session's lock that the caller holds. The row is
 * written after the statement; a crash in between, or halfway through an index, is made good by running the file again.
 */
export async function runAlone(place: Place, migration: Migration): Promise<void> {
  const { client, schema } = place;
  const { owner } = await checkRights(client, schema);
  // No lock_timeout: a concurrent build blocks nobody while it waits for old transactions to end.
  const before = await set(client, { ...settings, lock_timeout: "0", ...asOwner(owner) }, false);
  try {
    const cleanup = brokenIndex(migration);
    if (cleanup) await client.query(fillSchema(cleanup, schema));
    await run(place, migration);
    await record(place, migration);
  } finally {
    await set(client, before, false).catch(() => {});
  }
}

/** Settings of the role or the database that must not reach a migration; names in migrations are written in full. */
const settings = {
  search_path: "pg_catalog, pg_temp",
  statement_timeout: "0",
  idle_in_transaction_session_timeout: "0",
};

/** All objects keep one owner, whoever migrates: functions that run with their owner's rights need those on all tables. */
function asOwner(owner: string | null): Settings {
  return owner === null ? {} : { role: owner };
}

type Settings = Readonly<Record<string, string>>;

/** Sets, and gives what was set before. */
async function set(client: Queryable, values: Settings, local: boolean): Promise<Settings> {
  const before: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    const { old } = await row<{ old: string }>(client, "select pg_catalog.current_setting($1) as old", [name]);
    before[name] = old;
    await client.query("select pg_catalog.set_config($1, $2, $3)", [name, value, local]);
  }
  return before;
}

async function run({ client, schema }: Place, migration: Migration): Promise<void> {
  const sql = fillSchema(migration.body, schema);
  try {
    await client.query(sql);
  } catch (error) {
    throw explain(error, migration, sql);
  }
}

async function record({ client, schema }: Place, migration: Migration): Promise<void> {
  const { number, file, hash, previousHash, compatibleFrom } = migration;
  await client.query(fillSchema(`${insertHistory} values ($1, $2, $3, $4, $5, $6)`, schema), [
    number,
    file,
    hash,
    previousHash,
    rouseVersion(),
    compatibleFrom,
  ]);
}
