/**
 * npm run sql:commit: remakes the unreleased migration in sql/committed from sql/current.sql and the fixtures.
 * Uses DATABASE_URL where it is set (a role that may create databases), an embedded server otherwise.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { commitCurrent } from "./sql-graphile.ts";
import { withServer } from "./sql-server.ts";
import { currentSource, root, unreleasedFile } from "./sql-source.ts";

try {
  if (!(await currentSource(root))) throw new Error("Nothing to commit: sql/current.sql is empty.");
  const old = await unreleasedFile(root);
  const made = await withServer((url) => commitCurrent(url, root));
  await mkdir(join(root, "sql/committed"), { recursive: true });
  if (old && old.path !== made.path) await rm(join(root, old.path));
  await writeFile(join(root, made.path), made.text);
  console.log(`${made.path} ${old?.text === made.text ? "is up to date" : "written"}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
