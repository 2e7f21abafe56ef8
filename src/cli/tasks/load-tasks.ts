import { relative } from "node:path";
import { importModule } from "../../config/import-module.ts";
import { ConfigError } from "../../errors.ts";
import { Declarations } from "./collect.ts";
import { findTaskFiles, type TaskPattern } from "./task-pattern.ts";

/**
 * Loads files, folders and globs, by default `tasks.ts` and `tasks/`, and gives what they declare. Each that was named has
 * to declare something; within folders and globs there may be helpers beside.
 *
 * @throws ConfigError naming the file and what is wrong with it.
 */
export async function loadTasks(given: readonly string[] | undefined, folder: string): Promise<Declarations> {
  const declarations = new Declarations();
  const counts = new Map<string, number>();
  const load = async (path: string) => {
    const exports = await importModule(path);
    counts.set(path, declarations.addModule(exports, relative(folder, path)));
  };
  const patterns = await findTaskFiles(given, folder);
  for (const { files } of patterns) {
    for (const path of files) if (!counts.has(path)) await load(path);
  }
  const idle = patterns.filter(({ files }) => !files.some((path) => counts.get(path)! > 0));
  const [first] = idle.filter(({ files }) => files.length > 0);
  if (first !== undefined && (given !== undefined || idle.length === patterns.length))
    throw await noTask(first, folder);
  return declarations;
}

async function noTask({ text, files }: TaskPattern, folder: string): Promise<ConfigError> {
  if (files.length > 1) return new ConfigError(`none of the ${files.length} modules of ${text} exports a task`);
  const exports = exportNames(await importModule(files[0]!));
  const what = exports.length === 0 ? "nothing" : exports.join(", ");
  return new ConfigError(
    `${relative(folder, files[0]!)} exports no task (it exports ${what}): export const hello = defineTask("hello", { … })`,
  );
}

/** What a CommonJS module exports comes as one default export. */
function exportNames(module: Readonly<Record<string, unknown>>): string[] {
  const { default: value } = module;
  const isCommonJs = typeof value === "object" && value !== null && "__esModule" in value;
  return Object.keys(isCommonJs ? value : module);
}
