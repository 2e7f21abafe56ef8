import { flagOf, SETTINGS, variableOf } from "../config/settings.ts";
import type { Command } from "./command.ts";
import { COMMANDS } from "./commands.ts";

/** The list of commands. */
export async function overview(): Promise<string> {
  const rows = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, load]) => [name, (await load()).default.summary] as const),
  );
  return [
    "rouse: a task queue that lives inside PostgreSQL",
    "",
    "Usage: rouse <command> [options]",
    "",
    ...columns([...rows, ["help [command]", "how a command is used"]]),
    "",
    "DATABASE_URL or the PG* variables name the database. Settings stand in flags, in ROUSE_… variables or in",
    "rouse.config.ts, the first that is set winning.",
  ].join("\n");
}

/** How one command is used. */
export function usage(name: string, command: Command): string {
  const { summary, usage: rest, options, settings, notes } = command;
  const own = Object.entries(options).map(
    ([option, { value, help }]) => [`--${option}${value === undefined ? "" : ` <${value}>`}`, help] as const,
  );
  const shared = settings.map((setting) => {
    const { value, help } = SETTINGS[setting];
    return [`--${flagOf(setting)} <${value}>`, `${help}; ${variableOf(setting)}`] as const;
  });
  const all = [...own, ...shared];
  return [
    `Usage: rouse ${[name, rest, all.length > 0 ? "[options]" : undefined].filter(Boolean).join(" ")}`,
    "",
    `${summary[0]?.toUpperCase()}${summary.slice(1)}.`,
    ...(all.length > 0 ? ["", ...columns(all)] : []),
    ...(notes === undefined ? [] : ["", notes]),
  ].join("\n");
}

function columns(rows: ReadonlyArray<readonly [string, string]>): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
