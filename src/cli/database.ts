import pg from "pg";
import { addressesOf } from "../client/addresses.ts";
import { quoteIdentifier } from "../client/identifier.ts";
import { primaryOf } from "../client/primary.ts";
import { chooseDatabase } from "../config/database.ts";
import type { Settings } from "../config/settings.ts";
import { type Access, connectFailure, explain } from "./explain.ts";
import { note } from "./output.ts";

/** The settings by which a command finds the database. */
export const DATABASE_SETTINGS = ["databaseUrl", "schema"] as const;

/** And by which one finds the server itself, where a pooler stands before it. */
export const SERVER_SETTINGS = [...DATABASE_SETTINGS, "directUrl"] as const;

export type DatabaseSettings = Pick<Settings, (typeof DATABASE_SETTINGS)[number]>;

const CONNECT_TIMEOUT_MS = 10_000;

/** An open connection, and the schema as a quoted identifier. */
export interface Database {
  readonly client: pg.Client;
  readonly schema: string;
}

/** The connection string of the chosen database; undefined: pg reads the PG* variables. */
export function connectionString(settings: Pick<Settings, "databaseUrl">): Promise<string | undefined> {
  const { databaseUrl } = settings;
  return chooseDatabase({ databaseUrl, environment: process.env, folder: process.cwd() });
}

/** The same of the server itself, for what no pooler must stand before. */
export async function directConnectionString(
  settings: Pick<Settings, "databaseUrl" | "directUrl">,
): Promise<string | undefined> {
  return settings.directUrl ?? (await connectionString(settings));
}

/** Connects, does the work, and disconnects. @throws DatabaseFailure that says what to do, where the database refuses. */
export async function withDatabase<T>(
  settings: DatabaseSettings,
  access: Access,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const client = await connect(await connectionString(settings));
  const schema = settings.schema ?? "rouse";
  try {
    return await work({ client, schema: quoteIdentifier(schema) });
  } catch (error) {
    throw explain(error, { schema, user: client.user, access });
  } finally {
    await client.end().catch(() => {});
  }
}

/** A connection of our own, of several addresses to the one that takes writes; what the server remarks is told. */
export async function connect(address: string | undefined): Promise<pg.Client> {
  const chosen = address === undefined ? {} : await primaryOf(addressesOf(address, "the database's address"));
  const client = new pg.Client({
    ...chosen,
    application_name: "rouse",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // A lost connection is reported by the query that meets it; without a listener it would end the process.
  client.on("error", () => {});
  client.on("notice", ({ message, hint }) => note([`note: ${message}`, hint].filter(Boolean).join("\n  ")));
  try {
    await client.connect();
    return client;
  } catch (error) {
    // Where it failed on our side, the server would wait for us as long as it allows for logging in.
    client.end().catch(() => {});
    throw connectFailure(client, error);
  }
}
