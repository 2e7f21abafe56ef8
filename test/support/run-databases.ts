import { randomInt } from "node:crypto";
import pg from "pg";
import { withDatabase } from "./urls.ts";

const family = "rouse_test_";

/** Any number that nothing else on a server is likely to lock. */
const lockClass = 0x726f7573;

/**
 * The databases of a test run. Their names begin with the run's, `rouse_test_<number>`, and as long as a run lives it
 * holds an advisory lock on that number: so whoever comes later on the same server can tell what a killed run left
 * behind from what a run beside it still needs.
 */
export class RunDatabases {
  readonly prefix: string;
  readonly #serverUrl: string;
  readonly #client: pg.Client;

  private constructor(serverUrl: string, client: pg.Client, run: number) {
    this.#serverUrl = serverUrl;
    this.#client = client;
    this.prefix = `${family}${run}`;
  }

  static async open(serverUrl: string): Promise<RunDatabases> {
    const client = new pg.Client({ connectionString: serverUrl });
    await client.connect();
    const run = randomInt(1, 2 ** 31 - 1);
    await client.query("select pg_advisory_lock($1, $2)", [lockClass, run]);
    const databases = new RunDatabases(serverUrl, client, run);
    await databases.#dropAbandoned();
    return databases;
  }

  /** An empty one, and its URL. */
  async create(suffix: string): Promise<string> {
    const name = `${this.prefix}_${suffix}`;
    await this.#client.query(`create database ${name} template template0 encoding 'UTF8'`);
    return withDatabase(this.#serverUrl, name);
  }

  /** Drops all of the run. */
  async close(): Promise<void> {
    for (const name of await this.#names()) if (name.startsWith(`${this.prefix}_`)) await this.#drop(name);
    await this.#client.end();
  }

  async #dropAbandoned(): Promise<void> {
    const { rows } = await this.#client.query<{ run: string }>(
      "select objid::text as run from pg_locks where locktype = 'advisory' and classid = $1 and granted",
      [lockClass],
    );
    const living = rows.map(({ run }) => `${family}${run}_`);
    for (const name of await this.#names()) {
      if (!living.some((prefix) => name.startsWith(prefix))) await this.#drop(name);
    }
  }

  async #names(): Promise<string[]> {
    const { rows } = await this.#client.query<{ datname: string }>(
      "select datname from pg_database where starts_with(datname, $1)",
      [family],
    );
    return rows.map(({ datname }) => datname);
  }

  async #drop(name: string): Promise<void> {
    await this.#client.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
  }
}
