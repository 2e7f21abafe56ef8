import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";

/** Runs `use` with the address of a server on which databases may be created: DATABASE_URL, or an embedded one for the time. */
export async function withServer<Result>(use: (url: string) => Promise<Result>): Promise<Result> {
  const given = process.env.DATABASE_URL;
  if (given) return use(given);
  const { startEmbedded } = await import("../src/dev/index.ts");
  const dataDir = join(tmpdir(), scratchName("server"));
  const server = await startEmbedded({ dataDir, persistent: false });
  try {
    return await use(server.url);
  } finally {
    await server.stop();
  }
}

/** Runs `use` with the address of a new and empty database, which is dropped afterwards. */
export async function withDatabase<Result>(
  serverUrl: string,
  purpose: string,
  use: (url: string) => Promise<Result>,
): Promise<Result> {
  const name = scratchName(purpose);
  const url = databaseUrl(serverUrl, name);
  await administer(serverUrl, `create database ${name} template template0`);
  try {
    return await use(url);
  } finally {
    await administer(serverUrl, `drop database if exists ${name} with (force)`);
  }
}

/** A database name that no other run of these scripts uses. */
export function scratchName(purpose: string): string {
  return `rouse_sql_${purpose}_${process.pid}_${Date.now().toString(36)}`;
}

export function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

export async function administer(serverUrl: string, statement: string): Promise<void> {
  await withClient(serverUrl, (client) => client.query(statement));
}

export async function withClient<Result>(url: string, use: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url, application_name: "rouse sql" });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
