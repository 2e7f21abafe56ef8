import { ConfigError, PayloadError } from "../errors.ts";
import { type Duration, toInterval } from "../tasks/duration.ts";
import { toJson } from "../tasks/json.ts";
import { checkOptions } from "../tasks/options.ts";
import type { Queryable } from "./queryable.ts";
import type { ResultOptions } from "./results.ts";
import type { Stored } from "./stored.ts";

/** Options of one job. What is left out is as its task says. */
export interface JobOptions {
  readonly queue?: string;
  /** −100 to 100; a higher number runs first. */
  readonly priority?: number;
  /** When the job is due. Not together with `delay`. */
  readonly runAt?: Date;
  /** Time from now until the job is due. */
  readonly delay?: Duration;
  readonly maxAttempts?: number;
  /** While a job of the task with this key is live, it is returned instead of a new one. */
  readonly uniqueKey?: string;
  /** Within what `uniqueKey` is unique; default `task`. */
  readonly uniqueScope?: "task" | "queue" | "global";
  /** Until its job has finished (`live`, the default), or only until it starts (`waiting`). */
  readonly uniqueWhile?: "live" | "waiting";
  /** Instead: time from the enqueueing in which there is no second job with `uniqueKey`, whatever becomes of the first. */
  readonly uniquePeriod?: Duration;
  /**
   * What happens to the job that has `uniqueKey`: it is kept as it is (`keep`, the default); it gets this payload (`replace`), or
   * this payload and due time (`debounce`), where it has not started, or else there is a new job; or `raise` an error.
   */
  readonly onConflict?: "keep" | "replace" | "debounce" | "raise";
  /** Of the jobs with this key, of whatever task, one runs at a time, or as many as the key's limit says. */
  readonly concurrencyKey?: string;
  /** Time an attempt may take. */
  readonly timeout?: Duration;
  /** From then on it does not start, and ends `expired`. Not together with `expiresIn`. */
  readonly expiresAt?: Date;
  /** Time from when it is due after which it does not start. */
  readonly expiresIn?: Duration;
  /** Time from when it is due in which all its attempts must have ended. */
  readonly deadline?: Duration;
  readonly tags?: readonly string[];
  /** Context that travels with the job, such as a trace id. */
  readonly headers?: Readonly<Record<string, unknown>>;
}

export interface EnqueueOptions extends JobOptions {
  /** Where to enqueue: your own client, in its transaction if it has one. Default: a connection of Rouse's pool. */
  readonly client?: Queryable;
}

/** A job that was enqueued, or the one that had its unique key already. */
export interface Enqueued {
  readonly id: number;
  /** False where a live job had the unique key already; `id` is that job's. */
  readonly created: boolean;
}

/** A job that was enqueued, and the way to its result. */
export interface JobHandle<Result = unknown> extends Enqueued {
  /**
   * Waits for the job's end and gives what its task returned, as it comes back from JSON. Not before the transaction that
   * enqueued it has committed: until then there is no such job for anybody else.
   *
   * @throws JobError where the job ends otherwise than by success or there is no such job; TimeoutError; the signal's reason.
   */
  result(options?: ResultOptions): Promise<Stored<Result>>;
}

const OPTIONS = [
  "queue",
  "priority",
  "runAt",
  "delay",
  "maxAttempts",
  "uniqueKey",
  "uniqueScope",
  "uniqueWhile",
  "uniquePeriod",
  "onConflict",
  "concurrencyKey",
  "timeout",
  "expiresAt",
  "expiresIn",
  "deadline",
  "tags",
  "headers",
  "client",
] as const satisfies readonly (keyof EnqueueOptions)[];

/**
 * A job as JSON, as the SQL function enqueue_many reads it.
 *
 * @throws ConfigError for bad options, PayloadError for what JSON or PostgreSQL's jsonb cannot hold.
 */
export function jobJson(task: string, payload: unknown, options: EnqueueOptions): string {
  checkOptions(`a job of "${task}"`, options, OPTIONS);
  const { queue, priority, maxAttempts, uniqueKey, tags, headers } = options;
  const instant = (date: Date | undefined, what: string) => {
    if (date !== undefined && !(date instanceof Date && !Number.isNaN(date.getTime()))) {
      throw new ConfigError(`${what} ${String(date)} of a job of "${task}" is not a valid Date`);
    }
    return date?.toISOString();
  };
  const interval = (duration: Duration | undefined, what: string) =>
    duration === undefined ? undefined : toInterval(duration, `${what} of a job of "${task}"`);
  const row = {
    task,
    queue,
    priority,
    run_at: instant(options.runAt, "runAt"),
    delay: interval(options.delay, "delay"),
    max_attempts: maxAttempts,
    unique_key: uniqueKey,
    unique_scope: options.uniqueScope,
    unique_while: options.uniqueWhile,
    unique_period: interval(options.uniquePeriod, "uniquePeriod"),
    on_conflict: options.onConflict,
    concurrency_key: options.concurrencyKey,
    timeout: interval(options.timeout, "timeout"),
    expires_at: instant(options.expiresAt, "expiresAt"),
    expires_in: interval(options.expiresIn, "expiresIn"),
    deadline: interval(options.deadline, "deadline"),
    tags,
    headers,
  };
  return `${storable(row, `an option of a job of "${task}"`).slice(0, -1)},"payload":${storable(payload, `the payload of a job of "${task}"`)}}`;
}

function storable(value: unknown, what: string): string {
  const { text, why } = toJson(value);
  if (text === undefined) throw new PayloadError(`${what} cannot be stored: ${why}`);
  return text;
}

/** Adds jobs, each as JSON, with one call of enqueue_many. */
export async function enqueueJobs(client: Queryable, schema: string, jobs: readonly string[]): Promise<Enqueued[]> {
  const { rows } = await client.query(`select id, created from ${schema}.enqueue_many($1::jsonb)`, [
    `[${jobs.join(",")}]`,
  ]);
  return rows.map((row) => ({ id: Number(row.id), created: row.created as boolean }));
}
