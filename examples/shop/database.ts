import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startEmbedded } from "../../src/dev/index.ts";
import type { Cleanups } from "./cleanups.ts";

/** Any port that is seldom taken; where it is, the next one is used. */
const PORT = 54_320;

/**
 * The URL of an empty database that is gone after the clean-up: on a PostgreSQL of its own, started for it, or on the
 * server that DATABASE_URL names, beside the databases that are there.
 */
export async function openDatabase(cleanups: Cleanups, log: (line: string) => void): Promise<string> {
  const { DATABASE_URL: server } = process.env;
  if (server) return await createDatabase(server, cleanups);
  const dataDir = await mkdtemp(join(tmpdir(), "rouse-shop-"));
  cleanups.add(() => rm(dataDir, { recursive: true, force: true }));
  const { url, stop } = await startEmbedded({ dataDir, port: PORT, persistent: false, database: "shop", log });
  cleanups.add(stop);
  return url;
}

async function createDatabase(server: string, cleanups: Cleanups): Promise<string> {
  const name = `rouse_shop_${randomInt(1e9)}`;
  await onServer(server, `create database ${name}`);
  cleanups.add(() => onServer(server, `drop database if exists ${name} with (force)`));
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

async function onServer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    await client.query(sql);
  } catch (error) {
    throw new Error(`"${sql}" on the server that DATABASE_URL names: ${(error as Error).message}`, { cause: error });
  } finally {
    await client.end();
  }
}
