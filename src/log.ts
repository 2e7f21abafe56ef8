/** Where Rouse and its handlers log. `fields` are for machines; `message` alone tells a person what happened. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

type Level = keyof Logger;

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];

export interface LogOptions {
  /** The least level that is written; default `info`. */
  readonly level?: Level;
  /** Readable lines, or one JSON object a line; default readable on a terminal, JSON elsewhere. */
  readonly format?: "text" | "json";
  /** Where lines go; default standard error. */
  readonly write?: (line: string) => void;
}

/** A logger that writes lines. */
export function createLogger(options: LogOptions = {}): Logger {
  const least = LEVELS.indexOf(options.level ?? "info");
  const format = options.format ?? (process.stderr.isTTY ? "text" : "json");
  const write = options.write ?? ((line: string) => process.stderr.write(`${line}\n`));
  const at = (level: Level) =>
    LEVELS.indexOf(level) < least
      ? () => {}
      : (message: string, fields?: Record<string, unknown>) =>
          write(format === "json" ? jsonLine(level, message, fields) : textLine(level, message, fields));
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** A logger that adds fields to each line of another. */
export function withFields(log: Logger, fields: Record<string, unknown>): Logger {
  return {
    debug: (message, more) => log.debug(message, { ...fields, ...more }),
    info: (message, more) => log.info(message, { ...fields, ...more }),
    warn: (message, more) => log.warn(message, { ...fields, ...more }),
    error: (message, more) => log.error(message, { ...fields, ...more }),
  };
}

/** A logger whose failures stay its own: what it is told of must not fail because of it. */
export function neverThrowing(log: Logger): Logger {
  const at =
    (level: Level): Logger[Level] =>
    (message, fields) => {
      try {
        log[level](message, fields);
      } catch {
        // Where the log cannot be written, there is nowhere to say so.
      }
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function jsonLine(level: Level, message: string, fields: Record<string, unknown> = {}): string {
  const time = new Date().toISOString();
  const line = { time, level, message, ...fields };
  try {
    // Fields do not take the place of what every line has.
    return JSON.stringify(Object.assign(line, { time, level, message }), plain);
  } catch (error) {
    return JSON.stringify({ time, level, message, fields: `cannot be written: ${(error as Error).message}` });
  }
}

function textLine(level: Level, message: string, fields: Record<string, unknown> = {}): string {
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${format(value)}`)
    .join(" ");
  const time = new Date().toISOString().slice(11, 23);
  return `${time} ${level === "info" ? "" : `${level.toUpperCase()} `}${message}${details === "" ? "" : `  ${details}`}`;
}

function format(value: unknown): string {
  if (value instanceof Error) return describe(value);
  if (typeof value === "string" && !/\s/.test(value)) return value;
  try {
    return JSON.stringify(value, plain) ?? String(value);
  } catch (error) {
    return `(cannot be written: ${(error as Error).message})`;
  }
}

/** Fields as values that JSON can carry: an error as its stack, a bigint as text. Circular ones stay as they are. */
export function plainFields(fields: Record<string, unknown>): unknown {
  try {
    return JSON.parse(JSON.stringify(fields, plain));
  } catch {
    return fields;
  }
}

/** What JSON.stringify would refuse or leave empty. */
function plain(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value instanceof Error ? describe(value) : value;
}

function describe(error: Error): string {
  return error.stack ?? `${error.name}: ${error.message}`;
}
