import pg from "pg";
import { addressesOf } from "../client/addresses.ts";
import { primaryOf } from "../client/primary.ts";
import { MigrationError } from "./errors.ts";

/** Whatever runs a query on one connection: a `pg` Client or PoolClient, or another driver behind the same method. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

export async function rows<Row>(client: Queryable, text: string, values?: unknown[]): Promise<Row[]> {
  const result = await (values ? client.query(text, values) : client.query(text));
  return result.rows as Row[];
}

export async function row<Row>(client: Queryable, text: string, values?: unknown[]): Promise<Row> {
  const [first] = await rows<Row>(client, text, values);
  if (first === undefined) throw new MigrationError(`The server gave no row for: ${text}`);
  return first;
}

/**
 * A connection of our own, of several addresses to the one that takes writes. Without a connection string the PG* environment
 * variables decide, as everywhere.
 */
export async function connect(connectionString: string | undefined): Promise<pg.Client> {
  const address =
    connectionString === undefined ? {} : await primaryOf(addressesOf(connectionString, "connectionString"));
  const client = new pg.Client({ ...address, application_name: "rouse migrate" });
  // A lost connection is also reported by the query that meets it; without a listener it would end the process.
  client.on("error", () => {});
  try {
    await client.connect();
  } catch (error) {
    // Where it failed on our side, the server would wait for us as long as it allows for logging in.
    client.end().catch(() => {});
    const reason = error instanceof AggregateError ? error.errors.map(String).join("; ") : String(error);
    throw new MigrationError(
      `Cannot connect to PostgreSQL at ${client.host}:${client.port}, database ${client.database}: ${reason}`,
      { cause: error },
    );
  }
  return client;
}
