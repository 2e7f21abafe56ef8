import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync } from "node:fs";
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { unprivilegedAccount } from "../../src/dev/account.ts";
import { freePort } from "../../src/dev/port.ts";
import { identity } from "../../src/dev/supervisor.ts";

/** Where PgBouncer is; undefined where it is not installed (Debian: apt-get install pgbouncer). */
export const PGBOUNCER = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"]
  .map((folder) => join(folder, "pgbouncer"))
  .find(isThere);

export interface PgBouncer {
  /** The address of the same database through it. */
  url(database: string): string;
  stop(): Promise<void>;
}

/** Starts a PgBouncer before a server. */
export async function startPgBouncer(
  server: string,
  mode: "transaction" | "session",
  settings: Readonly<Record<string, string | number>> = {},
): Promise<PgBouncer> {
  const account = await unprivilegedAccount();
  const folder = await mkdtemp(join(tmpdir(), "rouse-test-pgbouncer-"));
  if (account) await chown(folder, account.uid, account.gid);
  const { hostname, port: serverPort, username, password } = new URL(server);
  const port = await freePort();
  const all = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "plain",
    auth_file: join(folder, "users"),
    pool_mode: mode,
    max_client_conn: 200,
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  const target = `host=${hostname} port=${serverPort || 5432}`;
  await write("pgbouncer.ini", ["[databases]", `* = ${target}`, "[pgbouncer]", ...lines]);
  await write("users", [`"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"`]);

  async function write(name: string, content: readonly string[]): Promise<void> {
    const path = join(folder, name);
    await writeFile(path, `${content.join("\n")}\n`, { mode: 0o600 });
    if (account) await chown(path, account.uid, account.gid);
  }

  const child = spawn(PGBOUNCER!, [join(folder, "pgbouncer.ini")], {
    stdio: ["ignore", "ignore", "pipe"],
    cwd: "/",
    ...identity(account),
  });
  await listening(child);
  return {
    url(database) {
      const url = new URL(database);
      url.hostname = "127.0.0.1";
      url.port = String(port);
      return url.href;
    },
    async stop() {
      const exited = once(child, "exit");
      // At once, whoever is connected.
      child.kill("SIGTERM");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** It logs to standard error that it is up. */
async function listening(child: ChildProcess): Promise<void> {
  let log = "";
  child.stderr!.setEncoding("utf8");
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on("data", (text) => {
      log += text;
      if (log.includes("process up")) resolve();
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`PgBouncer did not start:\n${log}`)));
  });
}

function isThere(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}
