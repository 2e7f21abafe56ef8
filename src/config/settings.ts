import { z } from "zod";
import { hostsApart } from "../client/addresses.ts";
import { toMilliseconds } from "../tasks/duration.ts";
import type { Queues } from "../worker/slots.ts";
import type { RouseConfig } from "./define-config.ts";

/** A setting: what may be given, and how it is explained. Flags and environment give text, the file any value. */
interface Setting<Value> {
  readonly schema: z.ZodType<Value>;
  /** What is allowed, as the end of "… is not". */
  readonly allowed: string;
  /** Placeholder of the value in the help. */
  readonly value: string;
  readonly help: string;
  /** Where it is not `ROUSE_` and the name in capitals. */
  readonly variable?: string;
}

/** Text is split at commas, except those in the braces of a glob; a list stays as it is. */
function list(longest: number): z.ZodType<readonly string[]> {
  const split = z.string().transform((text) => text.split(/,(?![^{]*\})/).map((part) => part.trim()));
  return z.union([z.array(z.string()), split]).pipe(z.array(z.string().min(1).max(longest)).min(1));
}

function wholeNumber(least: number, most: number): z.ZodType<number> {
  const digits = z
    .string()
    .regex(/^\s*\d+\s*$/)
    .transform(Number);
  return z.union([z.number(), digits]).pipe(z.number().int().min(least).max(most));
}

/** Names, or slots by name: in text `mail=5,*=10`. */
const queues: z.ZodType<Queues> = z.preprocess(
  (value) => {
    const slots =
      typeof value === "string" ? value.split(",").map((part) => /^\s*(.+?)\s*=\s*(\d+)\s*$/.exec(part)) : [null];
    return slots.some((slot) => slot === null)
      ? value
      : Object.fromEntries(slots.map((slot) => [slot![1], Number(slot![2])]));
  },
  z.union([list(200), z.record(z.string().min(1).max(200), z.number().int().min(1).max(10_000))]),
);

const duration = z.union([z.number(), z.string()]).transform((value, context) => {
  try {
    return toMilliseconds(value);
  } catch {
    context.addIssue("not a duration");
    return z.NEVER;
  }
});

const address = {
  schema: z.string().refine(isDatabaseUrl),
  allowed: "an address such as postgres://user:password@host:5432/database (special characters as %40 and the like)",
  value: "url",
};

export const SETTINGS = {
  databaseUrl: {
    ...address,
    help: "the database; without it DATABASE_URL, then the PG* variables decide",
    variable: "DATABASE_URL",
  },
  directUrl: {
    ...address,
    help: "the server itself, where the database's address is a pooler's in transaction mode",
  },
  schema: {
    schema: z.string().min(1).max(63),
    allowed: "the name of a schema",
    value: "name",
    help: "schema that Rouse was migrated into (rouse)",
  },
  tasks: {
    schema: list(4096),
    allowed: "a list of files, folders and globs",
    value: "files",
    help: "files, folders and globs that export the tasks (tasks.ts or tasks/)",
  },
  concurrency: {
    schema: wholeNumber(1, 10_000),
    allowed: "a whole number from 1 to 10000",
    value: "n",
    help: "jobs that run at a time (10)",
  },
  queues: {
    schema: queues,
    allowed: "a list of queue names of 1 to 200 characters, or slots by queue such as mail=5,*=10",
    value: "a,b",
    help: "queues to serve (all), or jobs at a time of each: mail=5,*=10",
  },
  name: {
    schema: z.string().min(1).max(200),
    allowed: "a name of 1 to 200 characters",
    value: "name",
    help: "name of the worker for people (host and process id)",
  },
  app: {
    schema: z.string().min(1).max(200),
    allowed: "a name of 1 to 200 characters",
    value: "name",
    help: "application whose schedules and watches are kept as its code says (the name in package.json)",
  },
  applyWatches: {
    schema: z.enum(["worker", "migrate"]),
    allowed: "worker or migrate",
    value: "who",
    help: "who makes the watches of the code: a worker that starts, or rouse migrate (worker)",
  },
  grace: {
    schema: duration,
    allowed: 'a duration such as "30s", "5m" or "1h30m"',
    value: "time",
    help: "how long running jobs may take to end when stopping (30s)",
  },
  logLevel: {
    schema: z.enum(["debug", "info", "warn", "error"]),
    allowed: "one of debug, info, warn, error",
    value: "level",
    help: "the least level that is logged (info)",
  },
  logFormat: {
    schema: z.enum(["text", "json"]),
    allowed: "text or json",
    value: "format",
    help: "text or json (text on a terminal, json elsewhere)",
  },
} satisfies { readonly [Key in keyof Required<RouseConfig>]: Setting<unknown> };

export type SettingName = keyof typeof SETTINGS;

/** Settings as they were given somewhere; undefined: nowhere, so the default applies. */
export type Settings = { readonly [Key in SettingName]: z.output<(typeof SETTINGS)[Key]["schema"]> | undefined };

/** `log-level` for `logLevel`. */
export function flagOf(setting: SettingName): string {
  return setting.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
}

/** `ROUSE_LOG_LEVEL` for `logLevel`. */
export function variableOf(setting: SettingName): string {
  const { variable }: Setting<unknown> = SETTINGS[setting];
  return variable ?? `ROUSE_${flagOf(setting).replaceAll("-", "_").toUpperCase()}`;
}

function isDatabaseUrl(text: string): boolean {
  return hostsApart(text).every(
    (url) => URL.canParse(url) && /^(postgres|postgresql|socket):$/.test(new URL(url).protocol),
  );
}
