import { addressesOf } from "../client/addresses.ts";
import { primaryOf } from "../client/primary.ts";
import { type MigrateOptions, type MigrateResult, migrate } from "../migrate/index.ts";
import { connect } from "./database.ts";
import { note } from "./output.ts";

/** Migrates the database at an address, the primary where it names several servers; undefined: what the PG* variables say. */
export async function migrateDatabase(
  address: string | undefined,
  options: Pick<MigrateOptions, "schema" | "shard">,
): Promise<MigrateResult> {
  // Tells in the same words as every other command why there is no connection.
  await (await connect(address)).end();
  const primary =
    address === undefined ? undefined : await primaryOf(addressesOf(address, "the address of the database"));
  return migrate({ ...options, connectionString: primary?.connectionString, log: note });
}
