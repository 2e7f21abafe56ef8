import type { Duration } from "../tasks/duration.ts";
import type { Queues } from "../worker/slots.ts";

/** What `rouse.config.ts` may set. Flags and environment variables take precedence; what nobody sets has its default. */
export interface RouseConfig {
  /**
   * Address of the database, `postgres://user:password@host:port/database`, or of a primary and its standbys,
   * `postgres://user:password@one:5432,two:5432/database`. Environment: `DATABASE_URL`.
   */
  readonly databaseUrl?: string;
  /**
   * Address of the server itself, where `databaseUrl` is a pooler's in transaction mode. Environment: `ROUSE_DIRECT_URL`.
   */
  readonly directUrl?: string;
  /** Schema that Rouse was migrated into; default `rouse`. */
  readonly schema?: string;
  /** Files, folders and globs that export the tasks, from the project's folder; default `tasks.ts` or `tasks/`. */
  readonly tasks?: string | readonly string[];
  /** Jobs that a worker runs at a time; default 10. */
  readonly concurrency?: number;
  /** Queues that a worker serves, or how many jobs of each run at a time, `{ mail: 5, "*": 10 }`; default all. */
  readonly queues?: Queues;
  /** Name of a worker for people; default host and process id. */
  readonly name?: string;
  /** Name of the application, whose schedules and watches are kept as its code says; default the name in `package.json`. */
  readonly app?: string;
  /**
   * Who makes the watches of the code: a `worker` that starts (default), or `migrate`, the command, which may have a role
   * that workers have not. A trigger needs the right TRIGGER on its table.
   */
  readonly applyWatches?: "worker" | "migrate";
  /** How long a stopping worker waits for running handlers before their jobs go back; default `"30s"`. */
  readonly grace?: Duration;
  /** The least level that is logged; default `info`. */
  readonly logLevel?: "debug" | "info" | "warn" | "error";
  /** Readable lines, or one JSON object a line; default readable on a terminal, JSON elsewhere. */
  readonly logFormat?: "text" | "json";
}

/** Types the settings in `rouse.config.ts`: `export default defineConfig({ concurrency: 20 })`. */
export function defineConfig(config: RouseConfig): RouseConfig {
  return config;
}
