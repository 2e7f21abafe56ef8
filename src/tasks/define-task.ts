import { ConfigError } from "../errors.ts";
import type { JobContext } from "../worker/context.ts";
import { type Batch, type BatchOptions, type BatchRun, checkBatch, runAlone } from "./batch.ts";
import { type Duration, toInterval, toMilliseconds } from "./duration.ts";
import { type KeyLimit, type Limit, limitColumns } from "./limit.ts";
import { checkOptions } from "./options.ts";
import { type RetryPolicy, retryColumns } from "./retry.ts";
import type { PayloadSchema } from "./standard-schema.ts";

/**
 * Marks tasks. A symbol of the global registry, never a class: a project may well load this package twice, once
 * as CommonJS and once through tsx, and a task made by one copy is a task to the other.
 */
const TASK = Symbol.for("rouse.task");

export interface TaskOptions<Input, Output, Result> {
  /** Schema of the payload: zod, or anything else that is a Standard Schema with JSON Schema. Left out: no payload. */
  readonly payload?: PayloadSchema<Input, Output>;
  /** Queue of its jobs unless enqueued into another; default `default`. */
  readonly queue?: string;
  /** −100 to 100, a higher number runs first; default 0. */
  readonly priority?: number;
  /** Delay of its jobs unless enqueued with another or with a time; default none. */
  readonly delay?: Duration;
  readonly retry?: RetryPolicy;
  /** Time an attempt may take before its signal aborts and it fails; default no limit. */
  readonly timeout?: Duration;
  /** Time from its due time after which a job does not start any more and ends `expired`; default any time. */
  readonly expiresIn?: Duration;
  /** Time from its due time in which all attempts of a job must have ended; default no limit. */
  readonly deadline?: Duration;
  /** How many of its jobs run at a time, and start in a time, on all workers together; default any number. */
  readonly limit?: Limit;
  /**
   * Key of its jobs unless enqueued with another: a constant, or after `$.` the path of a field of the payload as it is stored,
   * such as `"$.customer.id"`. Of the jobs with a key, of whatever task, one runs at a time, or as many as `keyLimit` says.
   */
  readonly concurrencyKey?: string;
  /** Limit of the jobs of each key; default `{ concurrency: 1 }`. */
  readonly keyLimit?: KeyLimit;
  /** How long finished jobs are kept; default succeeded 1 day, others 30 days; 0 keeps nothing. */
  readonly keep?: { readonly succeeded?: Duration; readonly failed?: Duration };
  /** Task, or the name of one, that gets a job with a `DeadLetter` as payload for each job that ends failed; default none. */
  readonly deadLetter?: AnyTask | string;
  /** Former names of the task: jobs enqueued under them are its own. */
  readonly aliases?: readonly string[];
  /** Topics that it is subscribed to, from a worker's start on: whatever is published there becomes a job of it. */
  readonly topics?: readonly string[];
  /** Runs a job. What it returns is kept as the result; what it throws fails the attempt. */
  run(payload: Output, context: JobContext): Result | Promise<Result>;
}

/** Options of a task whose `run` gets many payloads at once. */
export interface BatchTaskOptions<Input, Output, Result> extends Omit<TaskOptions<Input, Output, Result>, "run"> {
  readonly batch: BatchOptions;
  /**
   * Runs jobs together. Gives nothing where all of them succeeded, or what became of each, as `Promise.allSettled` tells it;
   * what it throws fails the attempts of all.
   */
  run: BatchRun<Output, Result>;
}

export interface Task<Name extends string = string, Input = unknown, Output = unknown, Result = unknown> {
  readonly [TASK]: true;
  readonly name: Name;
  readonly payload: PayloadSchema<Input, Output> | undefined;
  readonly aliases: readonly string[];
  readonly topics: readonly string[];
  /** Timeout of an attempt in milliseconds; undefined: no limit. */
  readonly timeout: number | undefined;
  /** How a worker runs its jobs together; undefined: each by itself. */
  readonly batch: Batch | undefined;
  /** The row of the table `task` that declares it. */
  readonly declaration: Readonly<Record<string, unknown>>;
  run(payload: Output, context: JobContext): Result | Promise<Result>;
}

const OPTIONS = [
  "payload",
  "queue",
  "priority",
  "delay",
  "retry",
  "timeout",
  "expiresIn",
  "deadline",
  "limit",
  "concurrencyKey",
  "keyLimit",
  "keep",
  "deadLetter",
  "aliases",
  "batch",
  "topics",
  "run",
] as const satisfies readonly (keyof TaskOptions<unknown, unknown, unknown> | "batch")[];

/** Payload of the jobs that a task named as `deadLetter` gets, one for each job that has failed. */
export interface DeadLetter<Payload = unknown> {
  /** Id of the job that failed. */
  readonly job: number;
  readonly task: string;
  readonly payload: Payload;
  /** Why its last attempt failed. */
  readonly error: { readonly message: string } & Readonly<Record<string, unknown>>;
  readonly attempts: number;
}

/** Any task, for lists of them. */
// biome-ignore lint/suspicious/noExplicitAny: payload types are contravariant in `run`; only `any` admits every task
export type AnyTask = Task<string, any, any, any>;

/** What `enqueue` takes for a task. */
export type InputOf<T> = T extends Task<string, infer Input, infer _Output, infer _Result> ? Input : never;

/** What the task's `run` gives. */
export type ResultOf<T> = T extends Task<string, infer _Input, infer _Output, infer Result> ? Result : never;

/**
 * Defines a task: a name, a payload schema, how it is retried, and what it does.
 *
 * @throws ConfigError for a bad name or option, and for a payload schema with types that JSON cannot carry.
 */
export function defineTask<const Name extends string, Input = void, Output = Input, Result = unknown>(
  name: Name,
  options: TaskOptions<Input, Output, Result> & { readonly batch?: undefined },
): Task<Name, Input, Output, Result>;
export function defineTask<const Name extends string, Input = void, Output = Input, Result = unknown>(
  name: Name,
  options: BatchTaskOptions<Input, Output, Result>,
): Task<Name, Input, Output, Result>;
export function defineTask<const Name extends string, Input, Output, Result>(
  name: Name,
  options:
    | (TaskOptions<Input, Output, Result> & { readonly batch?: undefined })
    | BatchTaskOptions<Input, Output, Result>,
): Task<Name, Input, Output, Result> {
  if (typeof name !== "string" || name.length < 1 || name.length > 200) {
    throw new ConfigError(`task name ${quote(name)} is not a string of 1 to 200 characters`);
  }
  if (typeof options?.run !== "function") {
    throw new ConfigError(
      `task "${name}" has no run function: defineTask("${name}", { async run(payload, ctx) { … } })`,
    );
  }
  checkOptions(`task "${name}"`, options, OPTIONS);
  const { priority } = options;
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= -100 && priority <= 100)) {
    throw new ConfigError(`task "${name}": priority ${priority} is not a whole number from -100 to 100`);
  }
  const span = (option: "timeout" | "expiresIn" | "deadline") => {
    const given = options[option];
    const milliseconds = given === undefined ? undefined : toMilliseconds(given, `task "${name}": ${option}`);
    if (milliseconds === 0) throw new ConfigError(`task "${name}": ${option} is 0: leave it out for no limit`);
    return milliseconds;
  };
  const [timeout, expiresIn, deadline] = [span("timeout"), span("expiresIn"), span("deadline")];
  const deadLetter = typeof options.deadLetter === "object" ? options.deadLetter.name : options.deadLetter;
  if (deadLetter === name) throw new ConfigError(`task "${name}": deadLetter is the task itself: name another one`);
  const { concurrencyKey } = options;
  if (
    concurrencyKey !== undefined &&
    (typeof concurrencyKey !== "string" || !/^(?!\$\.$).{1,400}$/su.test(concurrencyKey))
  ) {
    throw new ConfigError(
      `task "${name}": concurrencyKey ${quote(concurrencyKey)} is not a key of 1 to 400 characters, or "$." and the path of a field`,
    );
  }
  for (const label of [options.queue, deadLetter, ...(options.aliases ?? []), ...(options.topics ?? [])]) {
    if (label !== undefined && (typeof label !== "string" || label.length < 1 || label.length > 200)) {
      throw new ConfigError(`task "${name}": ${quote(label)} is not a name of 1 to 200 characters`);
    }
  }
  const interval = (value: Duration | undefined, what: string) =>
    value === undefined ? undefined : toInterval(value, `task "${name}": ${what}`);

  return Object.freeze({
    [TASK]: true as const,
    name,
    payload: options.payload,
    aliases: options.aliases ?? [],
    topics: options.topics ?? [],
    timeout,
    declaration: {
      name,
      queue: options.queue,
      priority,
      delay: interval(options.delay, "delay"),
      ...retryColumns(name, options.retry ?? {}),
      timeout: interval(timeout, "timeout"),
      expires_in: interval(expiresIn, "expiresIn"),
      deadline: interval(deadline, "deadline"),
      concurrency_key: concurrencyKey,
      limit: limitColumns(`the limit of task "${name}"`, options.limit, false),
      key_limit: limitColumns(`the keyLimit of task "${name}"`, options.keyLimit, true),
      keep_succeeded: interval(options.keep?.succeeded, "keep.succeeded"),
      keep_failed: interval(options.keep?.failed, "keep.failed"),
      dead_letter: deadLetter,
      payload_schema: jsonSchema(name, options.payload),
      aliases: options.aliases,
    },
    ...(options.batch === undefined
      ? { batch: undefined, run: options.run }
      : { batch: checkBatch(name, options.batch, options.run), run: runAlone(options.run) }),
  });
}

/** Whether a value is a task, whichever copy of this package made it. */
export function isTask(value: unknown): value is AnyTask {
  return typeof value === "object" && value !== null && (value as Record<PropertyKey, unknown>)[TASK] === true;
}

function jsonSchema(task: string, schema: PayloadSchema | undefined): unknown {
  if (schema === undefined) return undefined;
  const standard = schema["~standard"];
  if (standard?.jsonSchema === undefined) {
    throw new ConfigError(
      `task "${task}": its payload is not a schema that tells its JSON Schema: use zod 4.2 or later, or another Standard Schema library that does`,
    );
  }
  try {
    return standard.jsonSchema.input({ target: "draft-2020-12" });
  } catch (error) {
    throw new ConfigError(
      `task "${task}": its payload has a type that JSON cannot carry (${(error as Error).message}): describe it as it is stored and transform it, such as z.iso.datetime().transform((text) => new Date(text))`,
      { cause: error },
    );
  }
}

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}… (${text.length} characters)`;
}
