import { readdir, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { MODULE_FILE } from "../../config/import-module.ts";
import { ConfigError } from "../../errors.ts";
import { globBase, globToRegExp, isGlob } from "./glob.ts";

/** A file, folder or glob that somebody named, or that is looked for by default. */
export interface TaskPattern {
  /** As it was given. */
  readonly text: string;
  /** Whether it names one file, which then has to export something. */
  readonly isFile: boolean;
  /** The files that it means now, absolute, in order. */
  readonly files: readonly string[];
  /** Whether a file that may come later belongs to it. */
  matches(path: string): boolean;
  /** Folders where such a file would appear. */
  readonly folders: readonly string[];
}

/** What is loaded where nobody names anything. */
const DEFAULTS = ["tasks.{ts,mts,cts,js,mjs,cjs}", "tasks"];

/**
 * What the given patterns mean, or the default ones, seen from a folder.
 *
 * @throws ConfigError where one means nothing.
 */
export async function findTaskFiles(given: readonly string[] | undefined, folder: string): Promise<TaskPattern[]> {
  const patterns = await readPatterns(given, folder);
  const empty = patterns.find(({ files }) => files.length === 0);
  if (given === undefined && patterns.every(({ files }) => files.length === 0)) {
    throw new ConfigError(`no tasks found: neither tasks.ts nor a folder tasks/ with modules is in ${folder}`);
  }
  if (given !== undefined && empty !== undefined) {
    const reason = isGlob(empty.text) ? "matches no file" : empty.isFile ? "does not exist" : "has no modules in it";
    throw new ConfigError(`${empty.text} ${reason} (seen from ${folder})`);
  }
  return patterns;
}

/** The same without complaint, for watching what is to come. */
export function readPatterns(given: readonly string[] | undefined, folder: string): Promise<TaskPattern[]> {
  return Promise.all((given ?? DEFAULTS).map((text) => readPattern(text, folder)));
}

async function readPattern(text: string, folder: string): Promise<TaskPattern> {
  const path = resolve(folder, text);
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() || (!found && (text === "tasks" || text.endsWith("/")))) return inFolder(text, path);
  if (found || !isGlob(text)) {
    const files = found ? [path] : [];
    return { text, isFile: true, files, matches: (other) => other === path, folders: [dirname(path)] };
  }
  const pattern = globToRegExp(path);
  const base = globBase(path);
  const isDeep = relative(base, path).includes("/");
  const { files, folders } = await walk(base, isDeep);
  const matches = (other: string) => pattern.test(other) && isTaskFile(other, base);
  return { text, isFile: false, files: files.filter(matches), matches, folders };
}

async function inFolder(text: string, path: string): Promise<TaskPattern> {
  const { files, folders } = await walk(path, true);
  const matches = (other: string) => other.startsWith(path + sep) && isTaskFile(other, path);
  // Where the folder itself is still to come, it appears in its parent.
  return { text, isFile: false, files: files.filter(matches), matches, folders: [dirname(path), ...folders] };
}

/** All files below a folder, in order, and all folders; none of node_modules and what is hidden. */
async function walk(folder: string, deep: boolean): Promise<{ files: string[]; folders: string[] }> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return { files: [], folders: [folder] };
  const files: string[] = [];
  const folders = [folder];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (isIgnored(entry.name)) continue;
    const isFolder =
      entry.isDirectory() || (entry.isSymbolicLink() && (await stat(path).catch(() => undefined))?.isDirectory());
    if (!isFolder) files.push(path);
    else if (deep && !entry.isSymbolicLink()) {
      const below = await walk(path, deep);
      files.push(...below.files);
      folders.push(...below.folders);
    }
  }
  return { files, folders };
}

function isIgnored(name: string): boolean {
  return name.startsWith(".") || name === "node_modules";
}

/** Modules, but no declarations and no tests. */
function isTaskFile(path: string, base: string): boolean {
  const parts = relative(base, path).split(sep);
  return MODULE_FILE.test(path) && !/\.(test|spec)\.\w+$/.test(path) && !parts.some(isIgnored);
}
