import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { readInstall } from "../src/migrate/files.ts";
import { fillSchema } from "../src/migrate/schema.ts";
import { administer, databaseUrl, scratchName, withClient } from "./sql-server.ts";
import { committedFiles, type SqlFile, unreleasedFile } from "./sql-source.ts";

/**
 * What graphile-migrate makes of `sql/current.sql` and the fixtures it includes: the file it commits. It works in a temporary
 * copy, where the unreleased file is taken away and committed again, because it empties current.sql when it commits, and ours
 * stays: it is the list of what the unreleased migration consists of.
 */
export async function commitCurrent(serverUrl: string, folder: string): Promise<SqlFile> {
  const copy = await mkdtemp(join(tmpdir(), "rouse-commit-"));
  const main = scratchName("main");
  const shadow = scratchName("shadow");
  try {
    await cp(join(folder, ".gmrc"), join(copy, ".gmrc"));
    await cp(join(folder, "sql"), join(copy, "sql"), { recursive: true });
    const old = await unreleasedFile(copy);
    if (old) await rm(join(copy, old.path));
    const before = new Set((await committedFiles(copy)).map(({ path }) => path));
    await administer(serverUrl, `create database ${main} template template0`);
    await installEmpty(databaseUrl(serverUrl, main), "rouse");
    await commit(copy, {
      ROOT_DATABASE_URL: serverUrl,
      DATABASE_URL: databaseUrl(serverUrl, main),
      SHADOW_DATABASE_URL: databaseUrl(serverUrl, shadow),
    });
    const made = (await committedFiles(copy)).find(({ path }) => !before.has(path));
    if (!made) throw new Error("graphile-migrate committed nothing.");
    return made;
  } finally {
    await administer(serverUrl, `drop database if exists ${shadow} with (force)`);
    await administer(serverUrl, `drop database if exists ${main} with (force)`);
    await rm(copy, { recursive: true, force: true });
  }
}

/** What the migrator makes before the first migration; graphile-migrate does it for its shadow database alone (afterReset). */
export async function installEmpty(url: string, schema: string): Promise<void> {
  const install = await readInstall();
  await withClient(url, (client) => client.query(fillSchema(`${install.schema}${install.history}`, schema)));
}

async function commit(folder: string, databases: Record<string, string>): Promise<void> {
  const cli = createRequire(import.meta.url).resolve("graphile-migrate/dist/cli.js");
  try {
    await promisify(execFile)(process.execPath, [cli, "commit"], {
      cwd: folder,
      env: { ...process.env, ...databases },
    });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    const output = `${stdout}${stderr}`.replace(/^\s+at .*\n/gm, "").trim();
    throw new Error(`graphile-migrate could not commit:\n${output}`, { cause: error });
  }
}
