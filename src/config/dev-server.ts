import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Folder of a project in which `rouse dev` keeps its things. */
export const DEV_FOLDER = ".rouse";

const FILE = "dev.json";

/** Tells other commands in the folder where the server of `rouse dev` is. Only its owner may read the password. */
export async function announceDevServer(folder: string, url: string): Promise<void> {
  await mkdir(join(folder, DEV_FOLDER), { recursive: true });
  await writeFile(join(folder, DEV_FOLDER, ".gitignore"), "*\n");
  await rm(join(folder, DEV_FOLDER, FILE), { force: true });
  await writeFile(join(folder, DEV_FOLDER, FILE), JSON.stringify({ pid: process.pid, url }), { mode: 0o600 });
}

export async function withdrawDevServer(folder: string): Promise<void> {
  await rm(join(folder, DEV_FOLDER, FILE), { force: true });
}

/** Address of the server that `rouse dev` runs in the folder now; undefined where it does not run. */
export async function findDevServer(folder: string): Promise<string | undefined> {
  try {
    const { pid, url } = JSON.parse(await readFile(join(folder, DEV_FOLDER, FILE), "utf8"));
    process.kill(pid, 0);
    return url;
  } catch {
    return undefined;
  }
}
