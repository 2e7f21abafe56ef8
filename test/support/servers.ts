import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, chown, cp, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { type Account, unprivilegedAccount } from "../../src/dev/account.ts";
import { type Binaries, findBinaries } from "../../src/dev/binaries.ts";
import { freePort } from "../../src/dev/port.ts";
import { identity, type Supervised, serverEnvironment, supervise } from "../../src/dev/supervisor.ts";
import { until } from "./until.ts";

const run = promisify(execFile);

/** Where Debian installs its servers; used before the embedded one, which is another version. */
const DEBIAN = "/usr/lib/postgresql/15/bin";

/** A server that a test starts, breaks and stops by itself. */
export interface OwnServer {
  readonly port: number;
  /** As superuser; the database `postgres` unless named. */
  url(database?: string): string;
  /** Starts it, and resolves when it takes connections. Settings are those of postgresql.conf. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
  stop(): Promise<void>;
  /** kill -9 of the postmaster, which takes its sessions along; or another signal that ends it, as SIGQUIT does at once. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Stops all of its processes where they are, until `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** kill -9 of one of its sessions, upon which the server ends all others and recovers. */
  killSession(pid: number): void;
  /** A second server, stopped, that follows this one when it starts; this one must be stopped. */
  standby(): Promise<OwnServer>;
  /** A second server, stopped, that pg_upgrade makes of this one, stopped; undefined where there is no pg_upgrade. */
  upgraded(): Promise<OwnServer | undefined>;
}

/** A new and empty server, not started yet. `cleanUp` stops it and its standbys and removes their data. */
export async function ownServer(): Promise<{ server: OwnServer; cleanUp(): Promise<void> }> {
  const account = await unprivilegedAccount();
  const binaries = await findServer(account);
  const folder = await mkdtemp(join(tmpdir(), "rouse-test-server-"));
  if (account) await chown(folder, account.uid, account.gid);
  const password = randomBytes(18).toString("hex");
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account) await chown(passwordFile, account.uid, account.gid);
  const servers: Server[] = [];
  const server = await Server.make({ folder, password, passwordFile, account, binaries, servers });
  await server.initialize();
  return {
    server,
    async cleanUp() {
      await Promise.all(servers.map((each) => each.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Place {
  readonly folder: string;
  readonly password: string;
  readonly passwordFile: string;
  readonly account: Account | undefined;
  readonly binaries: Binaries;
  readonly servers: Server[];
}

class Server implements OwnServer {
  readonly port: number;
  readonly #place: Place;
  readonly #data: string;
  readonly #settings: Readonly<Record<string, string>>;
  #process: Supervised | undefined;
  #frozen: number[] = [];

  private constructor(place: Place, port: number, settings: Readonly<Record<string, string>>) {
    this.#place = place;
    this.port = port;
    this.#settings = settings;
    this.#data = join(place.folder, String(place.servers.length));
    place.servers.push(this);
  }

  static async make(place: Place, settings: Readonly<Record<string, string>> = {}): Promise<Server> {
    return new Server(place, await freePort(), settings);
  }

  async initialize(): Promise<void> {
    const { binaries, account, passwordFile } = this.#place;
    const args = ["-D", this.#data, "-U", "postgres", "--auth=scram-sha-256", `--pwfile=${passwordFile}`];
    args.push("--encoding=UTF8", "--locale=C", "--no-sync");
    await run(binaries.initdb, args, { cwd: "/", env: serverEnvironment(), ...identity(account) });
  }

  url(database = "postgres"): string {
    return `postgres://postgres:${this.#place.password}@127.0.0.1:${this.port}/${database}`;
  }

  async start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const all = {
      port: String(this.port),
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      // What a test breaks is processes, never the machine.
      fsync: "off",
      full_page_writes: "off",
      ...this.#settings,
      ...settings,
    };
    const args = ["-D", this.#data, ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
    const isUp = async () => {
      // Sessions of a server that was killed take a moment to notice it, and until then there can be no other.
      if (!this.#process?.running()) this.#process = await this.#launch(args);
      return await this.#answers();
    };
    await until(isUp, { message: `the server on port ${this.port} answers` });
  }

  async #launch(args: string[]): Promise<Supervised> {
    const { binaries, account } = this.#place;
    const log = await open(`${this.#data}.log`, "a", 0o600);
    const command = { file: binaries.postgres, args, account, logFile: log.fd, remove: undefined };
    return await supervise(command).finally(() => log.close());
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.#process === undefined) return;
    process.kill(this.#process.pid, signal);
    await this.stop();
  }

  async freeze(): Promise<void> {
    if (this.#process === undefined) return;
    // The postmaster first, so that it starts no more of them.
    process.kill(this.#process.pid, "SIGSTOP");
    const { pid: postmaster } = this.#process;
    const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, "utf8");
    const sessions = children.split(" ").map(Number).filter(Boolean);
    this.#frozen = [...sessions, postmaster];
    for (const pid of sessions) signalled(pid, "SIGSTOP");
  }

  async thaw(): Promise<void> {
    for (const pid of this.#frozen.splice(0)) signalled(pid, "SIGCONT");
  }

  killSession(pid: number): void {
    signalled(pid, "SIGKILL");
  }

  async standby(): Promise<OwnServer> {
    const { password, account } = this.#place;
    const conninfo = `host=127.0.0.1 port=${this.port} user=postgres password=${password}`;
    const standby = await Server.make(this.#place, { primary_conninfo: conninfo, hot_standby: "on" });
    await cp(this.#data, standby.#data, { recursive: true });
    await writeFile(join(standby.#data, "standby.signal"), "");
    // The copy is root's, where we are root.
    if (account) await run("chown", ["-R", `${account.uid}:${account.gid}`, standby.#data]);
    return standby;
  }

  async upgraded(): Promise<OwnServer | undefined> {
    const { binaries, account, folder, password } = this.#place;
    const bin = dirname(binaries.postgres);
    if (!(await isThere(join(bin, "pg_upgrade")))) return undefined;
    const next = await Server.make(this.#place);
    await next.initialize();
    const args = ["-b", bin, "-B", bin, "-d", this.#data, "-D", next.#data, "-U", "postgres", "-s", folder];
    const env = { ...serverEnvironment(), PGPASSWORD: password };
    args.push("-p", String(this.port), "-P", String(next.port));
    await run(join(bin, "pg_upgrade"), args, { cwd: folder, env, ...identity(account) });
    return next;
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client({ connectionString: this.url(), connectionTimeoutMillis: 1_000 });
    client.on("error", () => {});
    try {
      await client.connect();
      return true;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => {});
    }
  }
}

async function findServer(account: Account | undefined): Promise<Binaries> {
  const postgres = join(DEBIAN, "postgres");
  return (await isThere(postgres)) ? { postgres, initdb: join(DEBIAN, "initdb"), major: 15 } : findBinaries(account);
}

/** Unless it has ended by itself. */
function signalled(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
