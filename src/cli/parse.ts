import { parseArgs } from "node:util";
import { flagOf, SETTINGS, type SettingName } from "../config/settings.ts";
import { didYouMean } from "../nearest.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./usage-error.ts";

export interface Parsed {
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, boolean | string | readonly string[] | undefined>>;
  readonly flags: Readonly<Partial<Record<SettingName, string>>>;
  readonly help: boolean;
}

/**
 * Reads the arguments of a command. Not strict in node's sense, which refuses `--priority -5` and cannot name the option
 * that was meant.
 *
 * @throws UsageError for an unknown option, one without its value, and too many or too few arguments.
 */
export function parse(name: string, command: Command, args: readonly string[]): Parsed {
  const settings = new Map(command.settings.map((setting) => [flagOf(setting), setting]));
  const isText = (option: string) => settings.has(option) || command.options[option]?.type === "string";
  const known = [...Object.keys(command.options), ...settings.keys(), "help"];
  const { tokens, positionals } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: {
      help: { type: "boolean", short: "h" },
      ...Object.fromEntries(known.filter(isText).map((option) => [option, { type: "string" }] as const)),
    },
  });

  const options: Record<string, boolean | string | string[] | undefined> = {};
  for (const [option, { type, multiple }] of Object.entries(command.options)) {
    options[option] = type === "boolean" ? false : multiple ? [] : undefined;
  }
  const flags: Partial<Record<SettingName, string>> = {};
  let help = false;
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { name: option, rawName, value } = token;
    if (!known.includes(option)) {
      throw new UsageError(`rouse ${name} has no option ${rawName}${didYouMean(option, known, "--")}`);
    }
    if (!isText(option)) {
      if (value !== undefined) throw new UsageError(`${rawName} takes no value, and got ${JSON.stringify(value)}`);
      if (option === "help") help = true;
      else options[option] = true;
      continue;
    }
    const setting = settings.get(option);
    if (
      value === undefined ||
      (!token.inlineValue && known.includes(value.replace(/^--(.*?)(=.*)?$/s, "$1")) && value.startsWith("--"))
    ) {
      throw new UsageError(`${rawName} needs a value: ${rawName} <${placeholderOf(command, option, setting)}>`);
    }
    const list = options[option];
    if (setting !== undefined) flags[setting] = value;
    else if (Array.isArray(list)) list.push(value);
    else options[option] = value;
  }
  if (!help) checkCount(name, command, positionals);
  return { positionals, options, flags, help };
}

function placeholderOf(command: Command, option: string, setting: SettingName | undefined): string {
  return (setting === undefined ? command.options[option]?.value : SETTINGS[setting].value) ?? "value";
}

function checkCount(name: string, command: Command, { length }: readonly string[]): void {
  const [least, most] = command.positionals ?? [0, 0];
  const usage = `rouse ${[name, command.usage].filter(Boolean).join(" ")}`;
  if (length < least) throw new UsageError(`an argument is missing: ${usage}`);
  if (length > most) throw new UsageError(`too many arguments: ${usage}`);
}

/** Settings that were given as flags, as arguments for another process. */
export function flagArguments(flags: Readonly<Partial<Record<SettingName, string>>>): string[] {
  return Object.entries(flags).map(([name, value]) => `--${flagOf(name as SettingName)}=${value}`);
}
