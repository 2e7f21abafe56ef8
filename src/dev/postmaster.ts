import { execFile } from "node:child_process";
import { readFile, readlink, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";

/** What a server writes about itself into `postmaster.pid` in its data directory. */
export type Postmaster = { pid: number; port: number | undefined; ready: boolean };

export async function readPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const lines = (await readFile(join(cluster, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  const pid = Number(lines[0]);
  if (!pid) return undefined;
  return { pid, port: Number(lines[3]) || undefined, ready: lines[7]?.trim() === "ready" };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether that process is a server of this data directory, and not a stranger who got the number of a dead one. */
export async function isServerOf(pid: number, cluster: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform === "linux") {
    // A server works in its data directory. An unreadable link belongs to another user: somebody's, so not ours to judge.
    const folder = await readlink(`/proc/${pid}/cwd`).catch((error: NodeJS.ErrnoException) =>
      error.code === "EACCES" ? undefined : "",
    );
    return folder === undefined || folder === (await realpath(cluster).catch(() => cluster));
  }
  const { stdout } = await promisify(execFile)("ps", ["-o", "comm=", "-p", String(pid)]).catch(() => ({ stdout: "" }));
  return basename(stdout.trim()).startsWith("postgres");
}
