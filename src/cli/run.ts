import { readConfigFile } from "../config/config-file.ts";
import { readSettings } from "../config/read-settings.ts";
import { didYouMean } from "../nearest.ts";
import { VERSION } from "../version.ts";
import type { Call, Command, Options } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { errorText } from "./error-text.ts";
import { overview, usage } from "./help.ts";
import { note, print } from "./output.ts";
import { parse } from "./parse.ts";
import { UsageError } from "./usage-error.ts";

/** Runs `rouse` with these arguments and gives the exit code: 0 done, 1 failed, 2 called wrongly. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args);
  } catch (error) {
    note(`rouse: ${errorText(error)}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function dispatch([name, ...rest]: readonly string[]): Promise<number> {
  switch (name) {
    case "--version":
    case "-v":
      print(VERSION);
      return 0;
    case undefined:
    case "--help":
    case "-h":
      return help(undefined);
    case "help":
      return help(rest[0]);
    default:
      return call(name, await findCommand(name), rest);
  }
}

async function help(name: string | undefined): Promise<number> {
  print(name === undefined ? await overview() : usage(name, await findCommand(name)));
  return 0;
}

async function findCommand(name: string): Promise<Command> {
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) {
    const names = [...Object.keys(COMMANDS), "help"];
    const what = name.startsWith("-") ? `option ${name} before a command` : `command ${name}`;
    throw new UsageError(`there is no ${what}${didYouMean(name, names, "rouse ")} (rouse help lists the commands)`);
  }
  return (await load()).default;
}

async function call(name: string, command: Command, args: readonly string[]): Promise<number> {
  const { positionals, options, flags, help } = parse(name, command, args);
  if (help) {
    print(usage(name, command));
    return 0;
  }
  const file = await readConfigFile(process.cwd());
  const settings = readSettings(command.settings, { flags, environment: process.env, file });
  const parsed = { positionals, options, settings, flags } as Call<Options, (typeof command.settings)[number]>;
  return (await command.run(parsed)) ?? 0;
}
