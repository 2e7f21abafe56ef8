import { ConfigError } from "../errors.ts";
import { findDevServer } from "./dev-server.ts";

/** libpq's variables that say which database is meant. */
const PG_VARIABLES = ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER"];

export interface DatabaseSources {
  readonly databaseUrl: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
}

/** Whether anybody said which database to use. */
export function isDatabaseNamed({ databaseUrl, environment }: Omit<DatabaseSources, "folder">): boolean {
  return databaseUrl !== undefined || PG_VARIABLES.some((variable) => environment[variable]);
}

/**
 * The connection string to use; undefined: pg reads the PG* variables.
 *
 * Where nothing is set this is not left to pg, which would go to localhost as the system's user: whoever forgot
 * DATABASE_URL in one of ten containers should hear that, and no refused connection.
 *
 * @throws ConfigError where nobody said which database to use.
 */
export async function chooseDatabase(sources: DatabaseSources): Promise<string | undefined> {
  if (isDatabaseNamed(sources)) return sources.databaseUrl;
  const devServer = await findDevServer(sources.folder);
  if (devServer !== undefined) return devServer;
  throw new ConfigError(
    "no database is named: set DATABASE_URL (postgres://user:password@host:5432/database) or PGHOST and its like, or start one here with rouse dev",
  );
}
