import { ConfigError } from "../errors.ts";
import { type AnyTask, type InputOf, isTask } from "../tasks/define-task.ts";
import { type Duration, toInterval } from "../tasks/duration.ts";
import { checkOptions } from "../tasks/options.ts";

/** Marks schedules, as tasks are marked: by a symbol that every copy of this package shares. */
const SCHEDULE = Symbol.for("rouse.schedule");

interface CommonOptions {
  /**
   * When it runs: cron with five fields, or six with seconds first, `@daily` and the like, `every 5 seconds`, or a
   * single time such as `at 2026-12-01 10:00`.
   */
  readonly cron: string;
  /** Zone in which `cron` is read, a name such as `Europe/Berlin`; default UTC. */
  readonly timezone?: string;
  readonly queue?: string;
  /** −100 to 100; a higher number runs first. */
  readonly priority?: number;
  /** Slots that nobody was there to run: `all`, the `latest` (default), or `none`. */
  readonly catchUp?: "all" | "latest" | "none" | { readonly all: { readonly limit?: number; readonly age?: Duration } };
  /** When the job of an earlier slot is still live: `allow` both, `skip` the slot (default), or `queue` one. */
  readonly overlap?: "allow" | "skip" | "queue";
  readonly startsAt?: Date;
  readonly endsAt?: Date;
  readonly maxRuns?: number;
  /** Each job is due up to this much after its slot, at random. */
  readonly jitter?: Duration;
  /** Whether it exists at all, for schedules of some environments only; default true. */
  readonly when?: boolean;
}

export interface TaskScheduleOptions<T extends AnyTask> extends CommonOptions {
  /** The task that runs, or its name. */
  readonly task: T | string;
  readonly payload?: InputOf<T>;
}

export interface CommandScheduleOptions extends CommonOptions {
  /** SQL that a worker runs as its own role. */
  readonly command: string;
  /** Run it outside a transaction, as VACUUM needs it. */
  readonly autocommit?: boolean;
}

export interface Schedule {
  readonly [SCHEDULE]: true;
  readonly name: string;
  /** Whether it exists in this environment. */
  readonly when: boolean;
  readonly task: AnyTask | undefined;
  readonly payload: unknown;
  /** The arguments of the SQL function schedule(). */
  readonly declaration: Readonly<Record<string, unknown>>;
}

const OPTIONS = [
  "cron",
  "timezone",
  "task",
  "payload",
  "command",
  "autocommit",
  "queue",
  "priority",
  "catchUp",
  "overlap",
  "startsAt",
  "endsAt",
  "maxRuns",
  "jitter",
  "when",
];

/**
 * Defines a schedule. A worker that starts with it makes the row of that name what is said here; a schedule that the
 * code no longer defines, or whose `when` is false, is removed then.
 *
 * @throws ConfigError for a bad option. The spec itself is checked by the database, where the worker starts.
 */
export function defineSchedule<T extends AnyTask>(
  name: string,
  options: TaskScheduleOptions<T> | CommandScheduleOptions,
): Schedule {
  if (typeof name !== "string" || name.length < 1 || name.length > 200) {
    throw new ConfigError(`schedule name ${JSON.stringify(name)} is not a string of 1 to 200 characters`);
  }
  if (typeof options.cron !== "string") {
    throw new ConfigError(`schedule "${name}" says nowhere when it runs: give cron, such as cron: "0 8 * * *"`);
  }
  checkOptions(`schedule "${name}"`, options, OPTIONS);
  const command = "command" in options ? options.command : undefined;
  const task = "task" in options ? options.task : undefined;
  if ((command === undefined) === (task === undefined)) {
    throw new ConfigError(`schedule "${name}" needs one of task and command`);
  }
  if (task !== undefined && typeof task !== "string" && !isTask(task)) {
    throw new ConfigError(`schedule "${name}": task is neither a task made by defineTask nor a name`);
  }
  const { catchUp } = options;
  const all = typeof catchUp === "object" ? catchUp.all : undefined;
  const interval = (value: Duration | undefined, what: string) =>
    value === undefined ? undefined : toInterval(value, `schedule "${name}": ${what}`);
  const payload = "payload" in options ? options.payload : undefined;

  return Object.freeze({
    [SCHEDULE]: true as const,
    name,
    when: options.when ?? true,
    task: typeof task === "object" ? task : undefined,
    payload,
    declaration: {
      name,
      spec: options.cron,
      task: typeof task === "object" ? task.name : task,
      payload,
      command,
      autocommit: "autocommit" in options ? options.autocommit : undefined,
      timezone: options.timezone,
      queue: options.queue,
      priority: options.priority,
      catch_up: all === undefined ? catchUp : "all",
      catch_up_limit: all?.limit,
      catch_up_age: interval(all?.age, "catchUp.all.age"),
      overlap: options.overlap,
      starts_at: options.startsAt?.toISOString(),
      ends_at: options.endsAt?.toISOString(),
      max_runs: options.maxRuns,
      jitter: interval(options.jitter, "jitter"),
    },
  });
}

/** Whether a value is a schedule, whichever copy of this package made it. */
export function isSchedule(value: unknown): value is Schedule {
  return typeof value === "object" && value !== null && (value as Record<PropertyKey, unknown>)[SCHEDULE] === true;
}
