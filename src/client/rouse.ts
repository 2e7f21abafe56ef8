import pg from "pg";
import { ConfigError, RouseError, StoppedError } from "../errors.ts";
import { createLogger, type Logger, neverThrowing } from "../log.ts";
import { commandTask } from "../schedules/command-task.ts";
import { checkSchedules, declareSchedules } from "../schedules/declare.ts";
import type { Schedule } from "../schedules/define-schedule.ts";
import type { AnyTask, InputOf, ResultOf } from "../tasks/define-task.ts";
import { checkOptions } from "../tasks/options.ts";
import { checkInput } from "../tasks/payload.ts";
import { TaskRegistry } from "../tasks/registry.ts";
import { type PublishOptions, publish } from "../topics/publish.ts";
import { checkWatches, declareWatches } from "../watches/declare.ts";
import type { Watch } from "../watches/define-watch.ts";
import { connectionLike } from "../worker/connection.ts";
import type { Worker, WorkerOptions } from "../worker/worker.ts";
import { WorkerProcess } from "../worker/worker-process.ts";
import { type Address, addressesOf } from "./addresses.ts";
import { type ControlOptions, control, type JobIds, type RescheduleOptions, reschedule } from "./control.ts";
import { type Enqueued, type EnqueueOptions, enqueueJobs, type JobHandle, jobJson } from "./enqueue.ts";
import { quoteIdentifier } from "./identifier.ts";
import { primaryClient } from "./primary.ts";
import { type ResultOptions, Results } from "./results.ts";
import { sourceOf } from "./source.ts";

export interface RouseOptions {
  /**
   * Address of the database. Several hosts (`postgres://me@one:5432,two:5432/app`, or a list) are a primary and its
   * standbys: each connection goes to the one that takes writes. Left out together with `pool`: the PG* environment variables.
   */
  readonly connectionString?: string | readonly string[];
  /** Your own pool instead; it stays yours to end. */
  readonly pool?: pg.Pool;
  /**
   * Address of the server itself, where the other one is a pooler's in transaction mode: a worker's listener and heartbeat
   * need sessions of their own. Default: the same address.
   */
  readonly directConnectionString?: string | readonly string[];
  /** Schema that Rouse was migrated into; default `rouse`. */
  readonly schema?: string;
  /** Tasks that workers run and whose payloads are checked where they are enqueued. */
  readonly tasks?: Iterable<AnyTask>;
  /** Schedules that a starting worker makes so, and removes when they are no longer here; left out: none are touched. */
  readonly schedules?: Iterable<Schedule>;
  /** Watches that a starting worker makes so, and removes when they are no longer here; left out: none are touched. */
  readonly watches?: Iterable<Watch>;
  /** Name of the application: of the schedules and watches that code declared a worker removes only those of its own application. */
  readonly app?: string;
  readonly log?: Logger;
}

const OPTIONS: readonly (keyof RouseOptions)[] = [
  ...([
    "connectionString",
    "pool",
    "directConnectionString",
    "schema",
    "tasks",
    "schedules",
    "watches",
    "app",
    "log",
  ] as const),
];

/** A job of `enqueueMany`. */
export type ManyJob<T extends AnyTask | string = AnyTask | string> = Omit<EnqueueOptions, "client"> & {
  readonly task: T;
} & (T extends AnyTask ? PayloadProperty<InputOf<T>> : { readonly payload?: unknown });

type HandleOf<T> = JobHandle<T extends AnyTask ? ResultOf<T> : unknown>;

/** The payload may be left out where the task takes none. */
type PayloadProperty<Input> =
  TakesNone<Input> extends true
    ? { readonly payload?: NoPayload }
    : undefined extends Input
      ? { readonly payload?: Input }
      : { readonly payload: Input };

/** The arguments after the task. */
type EnqueueArguments<Input> =
  TakesNone<Input> extends true
    ? [payload?: NoPayload, options?: EnqueueOptions]
    : undefined extends Input
      ? [payload?: Input, options?: EnqueueOptions]
      : [payload: Input, options?: EnqueueOptions];

/** A task without payload has the input type void; `any`, of a task that is only known as one, is no such thing. */
// biome-ignore lint/suspicious/noConfusingVoidType: see above
type TakesNone<Input> = 0 extends 1 & Input ? false : [Input] extends [undefined | void] ? true : false;
type NoPayload = Record<string, never> | undefined;

export interface Rouse extends AsyncDisposable {
  /**
   * Adds a job. It runs after the commit, never after a rollback.
   *
   * @param task A task, or the name of one: `enqueue<typeof sendMail>("send_mail", …)` keeps the types where only
   *   the type of a task is imported.
   * @throws PayloadError where the payload does not fit the task's schema; nothing was enqueued then.
   */
  enqueue<T extends AnyTask>(task: T, ...rest: EnqueueArguments<InputOf<T>>): Promise<JobHandle<ResultOf<T>>>;
  enqueue<T extends AnyTask = AnyTask>(
    task: T["name"],
    ...rest: EnqueueArguments<InputOf<T>>
  ): Promise<JobHandle<ResultOf<T>>>;
  /**
   * Adds many jobs, of any tasks, in one statement; handles come in the order of the jobs.
   *
   * @throws PayloadError where a payload does not fit; nothing was enqueued then.
   */
  enqueueMany<const Tasks extends readonly (AnyTask | string)[]>(
    jobs: { readonly [Index in keyof Tasks]: ManyJob<Tasks[Index]> },
    options?: Pick<EnqueueOptions, "client">,
  ): Promise<{ -readonly [Index in keyof Tasks]: HandleOf<Tasks[Index]> }>;
  /**
   * Waits for the end of a job, as `result` of a handle does, for a process that only knows its id.
   *
   * @throws JobError where the job ends otherwise than by success or there is no such job; TimeoutError; the signal's reason.
   */
  result(id: number, options?: ResultOptions): Promise<unknown>;
  /**
   * Ends jobs as cancelled: those that wait at once, those that run when their handlers have ended, whose signals abort.
   *
   * @returns How many it found; those that have ended already are left alone.
   */
  cancel(ids: JobIds, options?: ControlOptions): Promise<number>;
  /**
   * Runs failed, cancelled and expired jobs again, with all their attempts; makes those that wait for their next attempt
   * due now.
   *
   * @returns How many of them.
   */
  retry(ids: JobIds, options?: ControlOptions): Promise<number>;
  /**
   * Gives jobs that wait another due time, queue or priority.
   *
   * @returns How many of them; those that run or have ended are left alone.
   */
  reschedule(ids: JobIds, options: RescheduleOptions): Promise<number>;
  /**
   * Removes every trace of jobs: payloads, results, errors, logs. Running attempts go on and change nothing.
   *
   * @returns How many there were.
   */
  purge(ids: JobIds, options?: ControlOptions): Promise<number>;
  /**
   * Publishes a message: a job for each task subscribed to the topic, and a broadcast to every process that listens.
   * Both only after the commit.
   *
   * @returns How many jobs there are; none where nobody has subscribed, which is no error.
   */
  publish(topic: string, payload?: unknown, options?: PublishOptions): Promise<number>;
  /** Starts a worker in this process. */
  startWorker(options?: WorkerOptions): Promise<Worker>;
  /** Stops the workers and ends the connections. */
  close(): Promise<void>;
}

/**
 * A client of one installation of Rouse. Connects when first used.
 *
 * @throws ConfigError for bad options.
 */
export function createRouse(options: RouseOptions = {}): Rouse {
  return new RouseClient(options);
}

class RouseClient implements Rouse {
  readonly #pool: pg.Pool;
  /** Where listeners and heartbeats connect; one, or a primary and its standbys. */
  readonly #direct: readonly pg.ClientConfig[];
  readonly #ownsPool: boolean;
  readonly #schema: string;
  readonly #tasks: TaskRegistry;
  readonly #schedules: readonly Schedule[] | undefined;
  readonly #watches: readonly Watch[] | undefined;
  readonly #source: string;
  readonly #log: Logger;
  readonly #workers = new Set<Worker>();
  readonly #results: Results;
  readonly #onIdleError = (error: Error) => this.#log.debug("an idle connection was lost", { error: error.message });
  #closed: Promise<void> | undefined;

  constructor(options: RouseOptions) {
    checkOptions("createRouse", options, OPTIONS);
    if (options.pool !== undefined && options.connectionString !== undefined) {
      throw new ConfigError("both pool and connectionString were given: give one of them");
    }
    this.#log = neverThrowing(options.log ?? createLogger());
    this.#schema = quoteIdentifier(options.schema ?? "rouse");
    this.#tasks = new TaskRegistry(options.tasks ?? []);
    this.#schedules = options.schedules === undefined ? undefined : [...options.schedules];
    this.#watches = options.watches === undefined ? undefined : checkWatches(options.watches);
    this.#source = sourceOf(options.app);
    this.#ownsPool = options.pool === undefined;
    const addresses =
      options.connectionString === undefined ? [] : addressesOf(options.connectionString, "connectionString");
    this.#pool = options.pool ?? createPool(addresses, this.#log);
    this.#direct =
      options.directConnectionString !== undefined
        ? addressesOf(options.directConnectionString, "directConnectionString")
        : addresses.length > 0
          ? addresses
          : [connectionLike(this.#pool)];
    this.#results = new Results(this.#pool, this.#schema, this.#direct, this.#log);
    // An idle connection that breaks is replaced when next needed; without a listener it would end the process.
    this.#pool.on("error", this.#onIdleError);
  }

  // biome-ignore lint/suspicious/noExplicitAny: the result's type is the interface's, by the task
  async enqueue(task: AnyTask | string, payload?: unknown, options: EnqueueOptions = {}): Promise<JobHandle<any>> {
    const job = await this.#job(task, payload, options);
    const [enqueued] = await enqueueJobs(options.client ?? this.#pool, this.#schema, [job]);
    return this.#handle(enqueued!);
  }

  // biome-ignore lint/suspicious/noExplicitAny: see above
  async enqueueMany(jobs: readonly ManyJob[], options: Pick<EnqueueOptions, "client"> = {}): Promise<any> {
    if (jobs.length === 0) return [];
    const ready = jobs.map(({ task, payload, ...jobOptions }) => this.#job(task, payload, jobOptions));
    const enqueued = await enqueueJobs(options.client ?? this.#pool, this.#schema, await Promise.all(ready));
    return enqueued.map((job) => this.#handle(job));
  }

  result(id: number, options?: ResultOptions): Promise<unknown> {
    return this.#results.wait(id, options);
  }

  #handle({ id, created }: Enqueued): JobHandle {
    return { id, created, result: (options) => this.#results.wait(id, options) };
  }

  /** A job as JSON. */
  async #job(task: AnyTask | string, payload: unknown, options: EnqueueOptions): Promise<string> {
    const known = typeof task === "string" ? this.#tasks.get(task) : task;
    const input = known === undefined ? (payload ?? {}) : await checkInput(known, payload);
    return jobJson(typeof task === "string" ? task : task.name, input, options);
  }

  cancel(ids: JobIds, { client }: ControlOptions = {}): Promise<number> {
    return control(client ?? this.#pool, this.#schema, "cancel", ids);
  }

  retry(ids: JobIds, { client }: ControlOptions = {}): Promise<number> {
    return control(client ?? this.#pool, this.#schema, "retry", ids);
  }

  reschedule(ids: JobIds, options: RescheduleOptions): Promise<number> {
    return reschedule(options.client ?? this.#pool, this.#schema, ids, options);
  }

  purge(ids: JobIds, { client }: ControlOptions = {}): Promise<number> {
    return control(client ?? this.#pool, this.#schema, "purge", ids);
  }

  async publish(topic: string, payload?: unknown, options: PublishOptions = {}): Promise<number> {
    return publish(this.#pool, this.#schema, topic, payload, options);
  }

  async startWorker(options: WorkerOptions = {}): Promise<Worker> {
    if (this.#closed !== undefined) throw new RouseError("this client was closed: a worker needs a new one");
    if (this.#schedules !== undefined) {
      const schedules = await checkSchedules(this.#schedules);
      await declareSchedules(this.#pool, this.#schema, this.#source, schedules, this.#log);
    }
    if (this.#watches !== undefined) {
      await declareWatches(this.#pool, this.#schema, this.#source, this.#watches, (change, watch) =>
        this.#log.info(`watch ${change}`, { watch }),
      );
    }
    if (this.#closed !== undefined) throw new StoppedError("the client was closed while the worker started");
    const worker = new WorkerProcess({
      pool: this.#pool,
      direct: this.#direct,
      schema: this.#schema,
      tasks: new TaskRegistry([...this.#tasks.tasks, commandTask(this.#pool, this.#schema)]),
      log: this.#log,
      options,
      onStopped: (stopped) => this.#workers.delete(stopped),
    });
    this.#workers.add(worker);
    await worker.start();
    return worker;
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await Promise.all([...[...this.#workers].map((worker) => worker.stop()), this.#results.close()]);
      // An ended pool still tells of connections that break while they close, so its listener stays.
      if (this.#ownsPool) await this.#pool.end();
      else this.#pool.off("error", this.#onIdleError);
    })();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function createPool(addresses: readonly Address[], log: Logger): pg.Pool {
  const pool = new pg.Pool({
    ...(addresses[0] === undefined ? {} : { connectionString: addresses[0].connectionString }),
    ...(addresses.length > 1 ? { Client: primaryClient(addresses) } : {}),
    application_name: "rouse",
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    max: 20,
  });
  pool.on("connect", (client) => {
    client.on("notice", (notice) => log.warn(notice.message ?? "notice", { hint: notice.hint }));
  });
  return pool;
}
