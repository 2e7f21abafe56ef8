import { ConfigError } from "../errors.ts";
import type { ConfigFile } from "./config-file.ts";
import { flagOf, SETTINGS, type SettingName, type Settings, variableOf } from "./settings.ts";

/** Where settings come from, the first that gives one winning. */
export interface Sources {
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: ConfigFile | undefined;
}

/**
 * Reads and checks settings. An empty environment variable counts as not set, since many tools that pass variables on
 * cannot leave one out.
 *
 * @throws ConfigError naming a wrong value, where it stands, and what is allowed.
 */
export function readSettings<Name extends SettingName>(names: readonly Name[], sources: Sources): Pick<Settings, Name> {
  const settings: Record<string, unknown> = {};
  for (const name of names) settings[name] = readSetting(name, sources);
  return settings as Pick<Settings, Name>;
}

function readSetting(name: SettingName, sources: Sources): unknown {
  const given = findSetting(name, sources);
  if (given === undefined) return undefined;
  const { schema, allowed } = SETTINGS[name];
  const result = schema.safeParse(given.value);
  if (!result.success) throw new ConfigError(`${given.where} is ${show(name, given.value)}, not ${allowed}`);
  return result.data;
}

/** The raw value and where it stands; undefined where nobody set it. */
function findSetting(name: SettingName, sources: Sources): { value: unknown; where: string } | undefined {
  const { flags, environment, file } = sources;
  const flag = flags[name];
  if (flag !== undefined) return { value: flag, where: `--${flagOf(name)}` };
  const variable = environment[variableOf(name)];
  if (variable !== undefined && variable !== "") {
    return { value: variable, where: `the environment variable ${variableOf(name)}` };
  }
  const value = file?.values[name];
  return value === undefined ? undefined : { value, where: `${name} in ${file?.path}` };
}

/** An address may hold a password, which belongs in no log: what stands before its host is left out. */
function show(name: SettingName, value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  const safe = name.endsWith("Url")
    ? text.replace(/^("\w+:\/\/|").*@/, "$1…@").replace(/password=[^&\s"]*/, "password=…")
    : text;
  return safe.length <= 100 ? safe : `${safe.slice(0, 100)}… (${safe.length} characters)`;
}
