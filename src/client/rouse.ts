import type pg from "pg";
import type { Logger } from "../log.ts";
import type { Schedule } from "../schedules/define-schedule.ts";
import type { AnyTask, InputOf, ResultOf } from "../tasks/define-task.ts";
import type { KeyLimit } from "../tasks/limit.ts";
import type { Listening, ListenOptions } from "../topics/broadcasts.ts";
import type { PublishOptions } from "../topics/publish.ts";
import type { MessageHandler } from "../topics/subscribers.ts";
import type { Watch } from "../watches/define-watch.ts";
import type { Worker, WorkerOptions } from "../worker/worker.ts";
import type { ControlOptions, JobIds, RescheduleOptions } from "./control.ts";
import type { EnqueueOptions, JobHandle } from "./enqueue.ts";
import type { LimitTarget } from "./limits.ts";
import type { Middleware } from "./middleware.ts";
import type { ResultOptions } from "./results.ts";

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
  /** What is done around every enqueue and every run; the first is the outermost. */
  readonly middleware?: Iterable<Middleware>;
}

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
   * Limits the jobs of a queue, a task or a concurrency key, on all workers together; replaces the limit that there was.
   * What a task's own `limit` and `keyLimit` say is set again when a worker starts.
   */
  setLimit(target: LimitTarget, limit: KeyLimit, options?: ControlOptions): Promise<void>;
  /** Lifts a limit; gives whether there was one. */
  dropLimit(target: LimitTarget, options?: ControlOptions): Promise<boolean>;
  /**
   * Publishes a message: a job for each task subscribed to the topic, and a broadcast to every process that listens.
   * Both only after the commit.
   *
   * @returns How many jobs there are; none where nobody has subscribed, which is no error.
   */
  publish(topic: string, payload?: unknown, options?: PublishOptions): Promise<number>;
  /**
   * Calls the handler for each message that is published to a topic from now on, by whomever, after its commit. All that
   * listens in a process, its workers too, shares one connection.
   *
   * Each message comes once, in the order of commits. After a broken connection what was published meanwhile comes first;
   * a message around the break may then come twice. Where messages may be lost, `onMissed` is called.
   *
   * @returns when messages are heard.
   * @throws RouseError where the server cannot be listened to.
   */
  listen(topic: string, handler: MessageHandler, options?: ListenOptions): Promise<Listening>;
  /** Starts a worker in this process. */
  startWorker(options?: WorkerOptions): Promise<Worker>;
  /**
   * Stops the workers, ends listening, and ends the connections. Calls that are under way may take 5 s more, then they are cut
   * off. A pool that was given stays open.
   */
  close(): Promise<void>;
}
