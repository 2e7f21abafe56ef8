import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { explainLoadError } from "./load-error.ts";

/** Endings of files that can be imported. */
export const MODULE_FILE = /(?<!\.d)\.[cm]?[jt]sx?$/;

const require = createRequire(import.meta.url);
const imported = new Set<string>();
let registered: Promise<void> | undefined;
let loading: string | undefined;

// A module that awaits what never comes ends the process when nothing else is left, with node's code 13.
process.on("exit", () => {
  if (loading !== undefined) process.stderr.write(`rouse: ${loading} never finished loading: what does it await?\n`);
});

/**
 * Imports a file of the user's project, TypeScript or JavaScript, ES module or CommonJS, with no build.
 *
 * @throws ConfigError saying where in which file it went wrong.
 */
export async function importModule(path: string): Promise<Readonly<Record<string, unknown>>> {
  registered ??= register();
  await registered;
  imported.add(path);
  loading = path;
  try {
    // import() of a CommonJS module by its ending fails in Node 20 once that module requires an ES module, such as ours.
    return /\.c[jt]s$/.test(path) ? { default: require(path) } : await import(pathToFileURL(path).href);
  } catch (error) {
    throw explainLoadError(path, error);
  } finally {
    loading = undefined;
  }
}

/** Files of the user's project that were imported so far, directly or by others, those that failed included. */
export function importedFiles(): string[] {
  return [...new Set([...imported, ...Object.keys(require.cache)])].filter((path) => !path.includes("/node_modules/"));
}

/**
 * Both of tsx's loaders, for all that this process imports, as if it had been started by `tsx`: its scoped import would
 * load what a task imports lazily without them, and one file twice.
 */
async function register(): Promise<void> {
  const [esm, cjs] = await Promise.all([import("tsx/esm/api"), import("tsx/cjs/api")]);
  cjs.register();
  esm.register({
    onImport: (url) => {
      if (url.startsWith("file:")) imported.add(fileURLToPath(url));
    },
  });
}
