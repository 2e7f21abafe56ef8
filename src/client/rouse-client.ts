import type pg from "pg";
import { ConfigError, RouseError, StoppedError } from "../errors.ts";
import { createLogger, type Logger, neverThrowing } from "../log.ts";
import { commandTask } from "../schedules/command-task.ts";
import { checkSchedules, declareSchedules } from "../schedules/declare.ts";
import type { Schedule } from "../schedules/define-schedule.ts";
import type { AnyTask } from "../tasks/define-task.ts";
import type { KeyLimit } from "../tasks/limit.ts";
import { checkOptions } from "../tasks/options.ts";
import { checkInput } from "../tasks/payload.ts";
import { TaskRegistry } from "../tasks/registry.ts";
import { Broadcasts, type Listening, type ListenOptions } from "../topics/broadcasts.ts";
import { type PublishOptions, publish } from "../topics/publish.ts";
import type { MessageHandler } from "../topics/subscribers.ts";
import { checkWatches, declareWatches } from "../watches/declare.ts";
import type { Watch } from "../watches/define-watch.ts";
import { connectionLike } from "../worker/connection.ts";
import { SharedListener } from "../worker/shared-listener.ts";
import type { Worker, WorkerOptions } from "../worker/worker.ts";
import { WorkerProcess } from "../worker/worker-process.ts";
import { addressesOf } from "./addresses.ts";
import { type ControlOptions, control, type JobIds, type RescheduleOptions, reschedule } from "./control.ts";
import { type Enqueued, type EnqueueOptions, enqueueJobs, type JobHandle, jobJson } from "./enqueue.ts";
import { quoteIdentifier } from "./identifier.ts";
import { dropLimit, type LimitTarget, setLimit } from "./limits.ts";
import { Around, type NewJob } from "./middleware.ts";
import { OwnPool } from "./own-pool.ts";
import { type ResultOptions, Results } from "./results.ts";
import type { ManyJob, Rouse, RouseOptions } from "./rouse.ts";
import { sourceOf } from "./source.ts";

const OPTIONS: readonly (keyof RouseOptions)[] = [
  "connectionString",
  "pool",
  "directConnectionString",
  "schema",
  "tasks",
  "schedules",
  "watches",
  "middleware",
  "app",
  "log",
];

export class RouseClient implements Rouse {
  readonly #pool: pg.Pool;
  /** Where listeners and heartbeats connect; one, or a primary and its standbys. */
  readonly #direct: readonly pg.ClientConfig[];
  /** The pool, where the client was given none. */
  readonly #own: OwnPool | undefined;
  readonly #schema: string;
  readonly #tasks: TaskRegistry;
  readonly #schedules: readonly Schedule[] | undefined;
  readonly #watches: readonly Watch[] | undefined;
  readonly #source: string;
  readonly #log: Logger;
  readonly #around: Around;
  readonly #workers = new Set<Worker>();
  readonly #listener: SharedListener;
  readonly #results: Results;
  readonly #broadcasts: Broadcasts;
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
    this.#around = new Around(options.middleware);
    const addresses =
      options.connectionString === undefined ? [] : addressesOf(options.connectionString, "connectionString");
    this.#own = options.pool === undefined ? new OwnPool(addresses, this.#log) : undefined;
    this.#pool = options.pool ?? this.#own!.pool;
    this.#direct =
      options.directConnectionString !== undefined
        ? addressesOf(options.directConnectionString, "directConnectionString")
        : addresses.length > 0
          ? addresses
          : [connectionLike(this.#pool)];
    this.#listener = new SharedListener({ addresses: this.#direct, log: this.#log });
    this.#results = new Results(this.#pool, this.#schema, this.#listener, this.#log);
    this.#broadcasts = new Broadcasts({
      listener: this.#listener,
      pool: this.#pool,
      schema: this.#schema,
      log: this.#log,
    });
    // An idle connection that breaks is replaced when next needed; without a listener it would end the process.
    this.#pool.on("error", this.#onIdleError);
  }

  // biome-ignore lint/suspicious/noExplicitAny: the result's type is the interface's, by the task
  async enqueue(task: AnyTask | string, payload?: unknown, options: EnqueueOptions = {}): Promise<JobHandle<any>> {
    const { client, ...jobOptions } = options;
    const [handle] = await this.enqueueMany([{ ...jobOptions, task, payload }], client && { client });
    return handle;
  }

  // biome-ignore lint/suspicious/noExplicitAny: see above
  async enqueueMany(jobs: readonly ManyJob[], { client }: ControlOptions = {}): Promise<any> {
    if (jobs.length === 0) return [];
    // A task that is not registered here is known all the same where it was given itself.
    const given = new Map(jobs.flatMap(({ task }) => (typeof task === "string" ? [] : [[task.name, task]])));
    const call = {
      jobs: jobs.map(({ task, ...job }): NewJob => {
        return { ...job, task: typeof task === "string" ? task : task.name, payload: job.payload };
      }),
      client,
    };
    const enqueued = await this.#around.enqueue(call, async (inner) => {
      const ready = inner.jobs.map((job) => this.#json(job, given.get(job.task) ?? this.#tasks.get(job.task)));
      return enqueueJobs(inner.client ?? this.#own ?? this.#pool, this.#schema, await Promise.all(ready));
    });
    return enqueued.map((job) => this.#handle(job));
  }

  result(id: number, options?: ResultOptions): Promise<unknown> {
    return this.#results.wait(id, options);
  }

  #handle({ id, created }: Enqueued): JobHandle {
    return { id, created, result: (options) => this.#results.wait(id, options) };
  }

  async #json({ task, payload, ...options }: NewJob, known: AnyTask | undefined): Promise<string> {
    return jobJson(task, known === undefined ? (payload ?? {}) : await checkInput(known, payload), options);
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

  setLimit(target: LimitTarget, limit: KeyLimit, { client }: ControlOptions = {}): Promise<void> {
    return setLimit(client ?? this.#pool, this.#schema, target, limit);
  }

  dropLimit(target: LimitTarget, { client }: ControlOptions = {}): Promise<boolean> {
    return dropLimit(client ?? this.#pool, this.#schema, target);
  }

  purge(ids: JobIds, { client }: ControlOptions = {}): Promise<number> {
    return control(client ?? this.#pool, this.#schema, "purge", ids);
  }

  async publish(topic: string, payload?: unknown, options: PublishOptions = {}): Promise<number> {
    return publish(this.#pool, this.#schema, topic, payload, options);
  }

  async listen(topic: string, handler: MessageHandler, options: ListenOptions = {}): Promise<Listening> {
    if (this.#closed !== undefined) throw new RouseError("this client was closed: listening needs a new one");
    return this.#broadcasts.listen(topic, handler, options);
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
      listener: this.#listener,
      schema: this.#schema,
      tasks: new TaskRegistry([...this.#tasks.tasks, commandTask(this.#pool, this.#schema)]),
      log: this.#log,
      around: this.#around,
      options,
      onStopped: (stopped) => this.#workers.delete(stopped),
    });
    this.#workers.add(worker);
    // A new connection takes 50 ms for its first call, one that has carried calls 3 ms: an idle worker keeps one.
    if (this.#own !== undefined) this.#pool.options.min = 1;
    await worker.start();
    return worker;
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await Promise.all([
        ...[...this.#workers].map((worker) => worker.stop()),
        this.#results.close(),
        this.#broadcasts.close(),
      ]);
      // An ended pool still tells of connections that break while they close, so its listener stays.
      if (this.#own !== undefined) await this.#own.end();
      else this.#pool.off("error", this.#onIdleError);
    })();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
