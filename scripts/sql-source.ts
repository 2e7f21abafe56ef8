import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseMigration } from "../src/migrate/files.ts";
import { codeOnly } from "./sql-text.ts";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** A file under `sql`, by its path in the repository. */
export interface SqlFile {
  readonly path: string;
  readonly text: string;
}

export async function readSource(folder: string, path: string): Promise<SqlFile> {
  return { path, text: await readFile(join(folder, path), "utf8") };
}

/** The committed migrations in order. */
export async function committedFiles(folder: string): Promise<SqlFile[]> {
  const names = await readdir(join(folder, "sql/committed")).catch(() => []);
  const files = names.filter((name) => name.endsWith(".sql")).sort();
  return Promise.all(files.map((name) => readSource(folder, `sql/committed/${name}`)));
}

/** The last committed file where it is marked `--! Unreleased`: it follows its sources until a release takes the mark off. */
export async function unreleasedFile(folder: string): Promise<SqlFile | undefined> {
  const last = (await committedFiles(folder)).at(-1);
  return last && parseMigration(last.path, last.text).unreleased ? last : undefined;
}

/** What the unreleased migration consists of; undefined where sql/current.sql holds nothing but its header. */
export async function currentSource(folder: string): Promise<SqlFile | undefined> {
  const current = await readSource(folder, "sql/current.sql");
  if (includesOf(current).length === 0 && codeOnly(current.text).trim() === "") return undefined;
  if (!current.text.startsWith("--! Unreleased\n")) {
    throw new Error("sql/current.sql must start with the line --! Unreleased, which marks the file made of it.");
  }
  return current;
}

/** The fixtures that a source asks for, as `room/object.sql`. */
export function includesOf(source: SqlFile): string[] {
  return [...source.text.matchAll(/^--![ \t]*include[ \t]+(\S+\.sql)[ \t]*$/gm)].map(([, name]) => name!);
}

/** The fixtures that a committed file was made of. */
export function includedIn(committed: SqlFile): string[] {
  return [...committed.text.matchAll(/^--! Included (\S+)$/gm)].map(([, name]) => name!);
}
