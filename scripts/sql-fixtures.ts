import { readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type pg from "pg";
import { sqlstate } from "../src/migrate/errors.ts";
import { fillSchema } from "../src/migrate/schema.ts";
import type { Finding } from "./sql-rules.ts";
import {
  committedFiles,
  currentSource,
  includedIn,
  includesOf,
  readSource,
  type SqlFile,
  unreleasedFile,
} from "./sql-source.ts";
import { lineAt } from "./sql-text.ts";

const fixtures = "sql/fixtures";

/**
 * The fixtures in the order in which they were first included: by the released migrations, then by current.sql. Those that
 * nothing includes are findings.
 */
export async function orderedFixtures(folder: string): Promise<{ order: SqlFile[]; findings: Finding[] }> {
  const unreleased = await unreleasedFile(folder);
  const released = (await committedFiles(folder)).filter(({ path }) => path !== unreleased?.path);
  const current = await currentSource(folder);
  const included = [...released.flatMap(includedIn), ...(current ? includesOf(current) : [])];
  const byPath = new Map((await readFixtures(folder)).map((file) => [file.path, file]));
  const order = [...new Set(included)]
    .map((name) => byPath.get(`${fixtures}/${name}`))
    .filter((file) => file !== undefined);
  const findings = [...byPath.values()]
    .filter((file) => !order.includes(file))
    .map(({ path }) => ({
      where: path,
      what: "is part of no migration",
      remedy: `Add the line --!include ${path.slice(fixtures.length + 1)} to sql/current.sql.`,
    }));
  return { order, findings };
}

async function readFixtures(folder: string): Promise<SqlFile[]> {
  const entries = await readdir(join(folder, fixtures), { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".sql"))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
  return Promise.all(paths.sort().map((path) => readSource(folder, path)));
}

/** Builds the schema from the sources, one file at a time, so that an error has a file and a line. */
export async function buildFromFixtures(
  client: pg.Client,
  schema: string,
  order: readonly SqlFile[],
): Promise<Finding[]> {
  await client.query("set search_path = pg_catalog, pg_temp");
  for (const { path, text } of order) {
    const sql = fillSchema(text, schema);
    try {
      await client.query(sql);
    } catch (error) {
      if (sqlstate(error) === undefined) throw error;
      const { message, position, detail, hint } = error as Record<string, string | undefined>;
      const line = position ? `:${lineAt(sql, Number(position) - 1)}` : "";
      const what = `${message}${detail ? ` (${detail})` : ""}`;
      return [
        {
          where: `${path}${line}`,
          what,
          remedy: hint ?? "Repair it, or the order of the includes in sql/current.sql.",
        },
      ];
    }
  }
  return [];
}
