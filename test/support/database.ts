import { after, before } from "node:test";
import pg from "pg";
import { withDatabase } from "./urls.ts";

export type TestDatabase = {
  /** Usable at once to configure something; the database exists from the first test on. */
  url: string;
  /** For tests that do not care on which connection they run. */
  pool: pg.Pool;
  /** The rows of a query on the pool. */
  query<Row extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
  /** A connection of its own, closed at the end of the file if the test has not done so. As another role by another URL. */
  connect(as?: string): Promise<pg.Client>;
};

type Options = {
  template?: "rouse" | "empty";
  /** Runs once the database exists, before the first test: other `before` hooks of a file run at the same time as ours. */
  prepare?: () => Promise<void>;
};

/**
 * A database for the tests of a file, to be called once at its top: made from the template before the first test,
 * dropped after the last one. The template `rouse` (default) is migrated, `empty` is not.
 */
export function testDatabase({ template = "rouse", prepare = async () => {} }: Options = {}): TestDatabase {
  const { ROUSE_TEST_SERVER: server, ROUSE_TEST_PREFIX: prefix } = process.env;
  if (!server || !prefix)
    throw new Error("Tests need the server that test/run.ts starts: npm test -- part-of-file-name");
  const name = `${prefix}_${process.pid}_${++made}`;
  const url = withDatabase(server, name);
  const pool = new pg.Pool({ connectionString: url, max: 5 });
  const clients: pg.Client[] = [];

  before(async () => {
    // The default strategy, wal_log: 200 ms here; file_copy took as long or longer, and makes all others wait for two checkpoints.
    await onServer(server, `create database ${name} template ${prefix}_${template}`);
    // Made from a template, it is a copy, on which no worker starts until it is confirmed.
    if (template === "rouse") await pool.query("select rouse.confirm_copy()");
    await prepare();
  });
  after(async () => {
    await Promise.all([pool.end(), ...clients.map((client) => client.end())]);
    await onServer(server, allLeft(name), `drop database if exists ${name} with (force)`);
  });

  return {
    url,
    pool,
    async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]> {
      return (await pool.query<Row>(text, values)).rows;
    },
    async connect(as = url) {
      const client = new pg.Client({ connectionString: as });
      clients.push(client);
      await client.connect();
      return client;
    },
  };
}

let made = 0;

/**
 * A pool's end() does not wait until the server has let go, and a connection that the drop ended then would fail the file,
 * whoever's pool it was. So sessions have a second to leave; those that stay, a pooler's for one, are ended.
 */
function allLeft(name: string): string {
  return `
    do $$
    begin
      for i in 1..100 loop
        exit when not exists (select from pg_stat_activity where datname = '${name}' and backend_type = 'client backend');
        perform pg_stat_clear_snapshot(), pg_sleep(0.01);
      end loop;
    end
    $$`;
}

async function onServer(server: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
