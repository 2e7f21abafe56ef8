import { ConfigError } from "../errors.ts";

/** A schedule as a line of a crontab tells it: arguments of the SQL function schedule(). */
export interface CrontabEntry {
  readonly name: string;
  readonly spec: string;
  readonly timezone: string | undefined;
  readonly task: string | undefined;
  readonly payload: unknown;
  readonly command: string | undefined;
}

/** One field of a cron spec: numbers, *, lists, ranges, steps, names of days and months, and L, $, #, ?. */
const FIELD = /^(?:[\d*?,/\-#$L]|sun|mon|tue|wed|thu|fri|sat|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)+$/i;

/**
 * Reads a crontab: a line is a spec of five or six fields or a macro, then a task and its payload as JSON, or `sql:` and
 * a command. `[name]` before it names the schedule, `TZ=` or `CRON_TZ=` sets the zone of the lines below, `#` starts a comment line.
 *
 * @throws ConfigError naming the line.
 */
export function readCrontab(text: string, file: string): CrontabEntry[] {
  const entries = new Map<string, CrontabEntry>();
  let timezone: string | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const where = `${file}:${index + 1}`;
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const setting = line.match(/^([A-Za-z_]+)\s*=\s*(.*)$/);
    if (setting !== null) {
      if (!/^(?:CRON_)?TZ$/.test(setting[1]!)) {
        throw new ConfigError(`${where}: ${setting[1]} cannot be set here: only TZ (or CRON_TZ) has a meaning`);
      }
      timezone = setting[2]!.replace(/^(["'])(.*)\1$/, "$2");
      continue;
    }
    const entry = { ...readLine(line, where), timezone };
    if (entries.has(entry.name)) {
      throw new ConfigError(
        `${where}: the name "${entry.name}" is taken by a line above: put [another name] before the spec`,
      );
    }
    entries.set(entry.name, entry);
  }
  return [...entries.values()];
}

function readLine(line: string, where: string): Omit<CrontabEntry, "timezone"> {
  const named = line.match(/^\[([^\]]+)\]\s*(.*)$/);
  const rest = named === null ? line : named[2]!;
  const { spec, work } = splitSpec(rest, where);
  const sql = work.match(/^sql:\s*(.+)$/is);
  if (sql !== null) {
    if (named === null) throw new ConfigError(`${where}: a line with sql: needs a name: put [name] before the spec`);
    return { name: named[1]!.trim(), spec, task: undefined, payload: undefined, command: sql[1]! };
  }
  const [, task, json] = work.match(/^(\S+)\s*(.*)$/s)!;
  return {
    name: named?.[1]?.trim() ?? task!,
    spec,
    task: task!,
    payload: json === "" ? undefined : parseJson(json!, where),
    command: undefined,
  };
}

function splitSpec(text: string, where: string): { spec: string; work: string } {
  const words = text.split(/\s+/);
  let count = /^@every$/i.test(words[0]!) ? 2 : text.startsWith("@") ? 1 : 5;
  if (count === 5 && words.length > 6 && FIELD.test(words[5]!)) count = 6;
  const bad = text.startsWith("@") ? -1 : words.slice(0, count).findIndex((word) => !FIELD.test(word));
  if (words.length <= count || bad >= 0) {
    throw new ConfigError(
      `${where}: "${text}" is not a spec and a task: write five or six fields or a macro such as @daily, then the task and its payload, as in 0 8 * * * send_report {"kind": "daily"}`,
    );
  }
  const work = text.match(new RegExp(`^(?:\\S+\\s+){${count}}(.*)$`, "s"))![1]!;
  return { spec: words.slice(0, count).join(" "), work };
}

function parseJson(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new ConfigError(`${where}: the payload ${json} is not JSON: ${(error as Error).message}`);
  }
}
