import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startEmbedded } from "../../src/dev/index.ts";
import { type Installation, install, settleIn } from "../contenders/installations.ts";

/** As a dedicated server of this memory would be set; fsync, full_page_writes and synchronous_commit stay on. */
const SETTINGS = {
  shared_buffers: "2GB",
  max_wal_size: "16GB",
  min_wal_size: "4GB",
  checkpoint_timeout: "15min",
  random_page_cost: "1.1",
  effective_cache_size: "6GB",
  max_connections: "200",
};

export interface BenchServer {
  /** What the figures were measured on. */
  readonly machine: string;
  /** Makes a fresh database with that contender's schema, runs `use` on it, and drops it. */
  withDatabase<T>(installation: Installation, use: (url: string) => Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

/** One server for all runs. Its data is kept between runs of the bench in the system's folder for temporary files. */
export async function startServer(): Promise<BenchServer> {
  const server = await startEmbedded({
    dataDir: join(tmpdir(), "rouse-bench"),
    settings: SETTINGS,
    log: (line) => console.error(line),
  });
  const admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
  // One after the other, so that no database is made while its template is.
  let turn: Promise<unknown> = Promise.resolve();
  const query = (text: string): Promise<pg.QueryResult> => {
    const result = turn.then(() => admin.query(text));
    turn = result.catch(() => {});
    return result;
  };
  const { rows } = await query("select split_part(current_setting('server_version'), ' ', 1) as version");
  const processors = cpus();
  const machine = `${processors.length} × ${processors[0]!.model}, PostgreSQL ${rows[0].version}, Node ${process.versions.node}`;
  const templates = new Map<Installation, Promise<string>>();
  let made = 0;

  const urlOf = (database: string) => Object.assign(new URL(server.url), { pathname: `/${database}` }).href;
  const create = async (database: string, template = "template0") => {
    await query(`drop database if exists ${database} with (force)`);
    await query(`create database ${database} template ${template}`);
    return urlOf(database);
  };
  const makeTemplate = async (installation: Installation) => {
    const database = `template_${installation}`;
    await install(installation, await create(database));
    return database;
  };

  return {
    machine,
    async withDatabase(installation, use) {
      if (!templates.has(installation)) templates.set(installation, makeTemplate(installation));
      const database = `run_${++made}`;
      const url = await create(database, await templates.get(installation));
      try {
        await settleIn(installation, url);
        // Each run has its own write-ahead log and none of a checkpoint that an earlier one caused.
        await query("checkpoint");
        return await use(url);
      } finally {
        await query(`drop database ${database} with (force)`);
      }
    },
    async stop() {
      await admin.end();
      await server.stop();
    },
  };
}
