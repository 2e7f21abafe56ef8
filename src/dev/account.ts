import { chmod, lstat, mkdir, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

/** The system user that the server runs as. */
export type Account = { name: string; uid: number; gid: number };

/**
 * PostgreSQL refuses to run as root. Started by root, the server therefore runs as an unprivileged user of the
 * machine; `undefined` means the current user, which nothing has to be done for.
 */
export async function unprivilegedAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = (await readFile("/etc/passwd", "utf8").catch(() => ""))
    .split("\n")
    .map((line) => line.split(":"))
    .map(([name = "", , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter((account) => account.uid > 0);
  const found = ["nobody", "postgres", "daemon"].map((name) => accounts.find((account) => account.name === name));
  const account = found.find(Boolean) ?? accounts[0];
  if (account) return account;
  // initdb looks its user up by number, so a made-up number would not do.
  throw new Error(
    "PostgreSQL does not run as root, and /etc/passwd names no other user to run it as: start as an ordinary user.",
  );
}

/** Whether the account can get into a folder, made or still to be made: root's home, for one, lets nobody else in. */
export async function canEnter(folder: string, account: Account | undefined): Promise<boolean> {
  if (!account) return true;
  for (let path = resolve(folder); ; path = dirname(path)) {
    const found = await stat(path).catch(ignoreMissing);
    const bit = found?.uid === account.uid ? 0o100 : found?.gid === account.gid ? 0o010 : 0o001;
    if (found && (found.mode & bit) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

/**
 * A folder of our own that the account can enter, for what cannot stay where it is: binaries in a project that it
 * cannot enter, data below root's home. Only we may write there, since what lies in it is executed.
 */
export async function sharedFolder(account: Account | undefined): Promise<string> {
  const uid = process.getuid?.();
  const own = `rouse-embedded-${uid}`;
  const candidates = account
    ? ["/var/lib/rouse-embedded", join(tmpdir(), own), join("/tmp", own)]
    : [join(tmpdir(), own)];
  for (const folder of candidates) {
    try {
      await mkdir(folder, { recursive: true });
      const found = await lstat(folder);
      if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o022) !== 0) continue;
      await chmod(folder, 0o755);
      if (await canEnter(folder, account)) return folder;
    } catch {
      // Not this one: it cannot be made, or it cannot be changed.
    }
  }
  throw new Error(`No folder to put PostgreSQL's files into: tried ${candidates.join(", ")}.`);
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
