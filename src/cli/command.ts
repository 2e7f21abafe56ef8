import type { SettingName, Settings } from "../config/settings.ts";

/** An option of one command, beside those that are settings. */
export interface Option {
  readonly type: "string" | "boolean";
  /** Placeholder of the value in the help. */
  readonly value?: string;
  readonly help: string;
  /** May be given more than once. */
  readonly multiple?: true;
}

export type Options = Readonly<Record<string, Option>>;

type ValueOf<O extends Option> = O["type"] extends "boolean"
  ? boolean
  : O extends { multiple: true }
    ? readonly string[]
    : string | undefined;

/** How a command was called. */
export interface Call<O extends Options, S extends SettingName> {
  readonly positionals: readonly string[];
  readonly options: { readonly [Name in keyof O]: ValueOf<O[Name]> };
  /** Checked, from flags, environment and file. */
  readonly settings: Pick<Settings, S>;
  /** Settings that were given as flags, as text. */
  readonly flags: Readonly<Partial<Record<S, string>>>;
}

/** A command of `rouse`: a file in commands/ that exports one by default, and a line in commands.ts. */
export interface Command<O extends Options = Options, S extends SettingName = SettingName> {
  /** One line for the list of commands. */
  readonly summary: string;
  /** What follows the name besides options, such as `<task> [payload]`. */
  readonly usage?: string;
  /** How many of these there are, at least and at most; default none. */
  readonly positionals?: readonly [least: number, most: number];
  readonly options: O;
  /** Settings it reads; each may be given as a flag. */
  readonly settings: readonly S[];
  /** What else the help says, such as examples. */
  readonly notes?: string;
  /** Gives the exit code; default 0. */
  run(call: Call<O, S>): Promise<number | undefined>;
}

/** Types a command by its own options and settings. */
export function defineCommand<const O extends Options, const S extends SettingName>(command: Command<O, S>): Command {
  return command as unknown as Command;
}
