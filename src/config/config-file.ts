import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../errors.ts";
import { didYouMean } from "../nearest.ts";
import type { RouseConfig } from "./define-config.ts";
import { importModule } from "./import-module.ts";
import { SETTINGS } from "./settings.ts";

export interface ConfigFile {
  /** Its name, for messages. */
  readonly path: string;
  readonly values: Readonly<Record<keyof RouseConfig, unknown>>;
}

export const CONFIG_FILES = ["ts", "mts", "cts", "js", "mjs", "cjs"].map((ending) => `rouse.config.${ending}`);

/**
 * The project's `rouse.config.ts`, undefined where there is none.
 *
 * @throws ConfigError where it cannot be loaded, exports no settings or an unknown one.
 */
export async function readConfigFile(folder: string): Promise<ConfigFile | undefined> {
  const [name, second] = CONFIG_FILES.filter((file) => existsSync(join(folder, file)));
  if (name === undefined) return undefined;
  if (second !== undefined) throw new ConfigError(`both ${name} and ${second} are in ${folder}: keep one of them`);
  const values = defaultExport(await importModule(join(folder, name)));
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new ConfigError(`${name} exports no settings: export default defineConfig({ … })`);
  }
  for (const key of Object.keys(values)) {
    if (!(key in SETTINGS)) {
      const known = Object.keys(SETTINGS);
      throw new ConfigError(
        `${name} has an unknown setting ${key}${didYouMean(key, known)} (settings are ${known.join(", ")})`,
      );
    }
  }
  return { path: name, values: values as ConfigFile["values"] };
}

/** A CommonJS module comes as the default export of a namespace, with its own default export inside. */
function defaultExport({ default: value }: Readonly<Record<string, unknown>>): unknown {
  const isNested = typeof value === "object" && value !== null && "default" in value;
  return isNested ? value.default : value;
}
