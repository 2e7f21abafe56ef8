import type { ClientBase } from "pg";
import type { Around } from "../client/middleware.ts";
import { CancelledError, RouseError, StaleAttemptError, StoppedError, TimeoutError } from "../errors.ts";
import { type Logger, withFields } from "../log.ts";
import type { AnyTask } from "../tasks/define-task.ts";
import { parseStored } from "../tasks/payload.ts";
import { Alarm } from "./alarm.ts";
import type { JobContext, JobInfo } from "./context.ts";
import { type End, type Ending, failureOf } from "./finished.ts";
import { type ClaimedJob, jobInfo, queueOf } from "./job.ts";
import { keptResult } from "./kept-result.ts";
import type { JobNotes, Note, Notes } from "./notes.ts";
import { completeWith, type TransactionTools } from "./transaction.ts";

/** How long the handler of a cancelled job may clean up before the job ends without it. */
const CLEAN_UP_MS = 30_000;

export interface AttemptTools extends TransactionTools {
  readonly log: Logger;
  readonly notes: Notes;
  readonly around: Around;
  /** Called once, when it is decided how the attempt ends; the handler may still be running. */
  readonly onDecided: (ending: Ending) => void;
}

/**
 * One run of a handler. How it ends is decided once, by whatever comes first: the handler settles, its
 * transaction commits, its time is over, the worker gives it back, or it turns out to be somebody else's by now.
 */
export class Attempt {
  readonly claimed: ClaimedJob;
  readonly #task: AnyTask;
  readonly #tools: AttemptTools;
  #controller: AbortController | undefined;
  #info: JobInfo | undefined;
  #log: Logger | undefined;
  #notes: JobNotes | undefined;
  #decided = false;
  #transaction: Promise<unknown> | undefined;
  #transacting = false;
  #deaf = false;
  #timeout: Alarm | undefined;
  #cleanUp: Alarm | undefined;
  #abortedAt: number | undefined;

  constructor(claimed: ClaimedJob, task: AnyTask, tools: AttemptTools) {
    this.claimed = claimed;
    this.#task = task;
    this.#tools = tools;
  }

  get queue(): string {
    return queueOf(this.claimed);
  }

  get job(): JobInfo {
    this.#info ??= jobInfo(this.claimed);
    return this.#info;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  get log(): Logger {
    this.#log ??= withFields(this.#tools.log, {
      job: this.claimed.id,
      task: this.#task.name,
      attempt: this.job.attempt,
    });
    return this.#log;
  }

  get notes(): JobNotes {
    this.#notes ??= this.#tools.notes.of(this.claimed);
    return this.#notes;
  }

  /** Its job, as long as it is not decided how it ends. */
  held(): readonly ClaimedJob[] {
    return this.#decided ? [] : [this.claimed];
  }

  /** When its signal aborted, on the clock of performance.now(). */
  get abortedAt(): number | undefined {
    return this.#abortedAt;
  }

  /** Runs the handler. Where it does not settle at once, gives a promise that resolves when it has and never rejects. */
  run(): Promise<void> | undefined {
    const timeout = this.claimed.timeout ?? this.#task.timeout;
    if (timeout !== undefined) {
      this.#timeout = new Alarm(() => this.#timeOut(timeout));
      this.#timeout.set(timeout);
    }
    try {
      const result = this.#handle();
      if (this.#transacting || isThenable(result)) return this.#settled(result);
      this.#succeed(result);
    } catch (thrown) {
      this.#threw(thrown);
    }
    this.#end();
    return undefined;
  }

  /** What the handler returns: a promise where it takes its time, or the check of its payload does. */
  #handle(): unknown {
    const payload = parseStored(this.#task, this.claimed.payload);
    return payload instanceof Promise ? payload.then((parsed) => this.#call(parsed)) : this.#call(payload);
  }

  #call(payload: unknown): unknown {
    const { around } = this.#tools;
    const ctx = new Context(this);
    if (!around.runs) return this.#task.run(payload, ctx);
    const call = { task: this.#task.name, payload, jobs: [this.job], signal: this.signal, log: ctx.log };
    return around.run(call, () => this.#task.run(payload, ctx));
  }

  async #settled(pending: unknown): Promise<void> {
    try {
      const result = await pending;
      // Begun and not awaited: whether it commits still decides.
      if (this.#transacting) await this.#transaction;
      this.#succeed(result);
    } catch (thrown) {
      this.#threw(thrown);
    }
    this.#end();
  }

  #threw(thrown: unknown): void {
    if (this.#decided) this.#noteLate(thrown);
    else this.#fail(thrown);
  }

  /** The handler has settled. */
  #end(): void {
    this.#timeout?.clear();
    this.#cleanUp?.clear();
    if (this.#deaf) this.log.info("the handler that ignored its signal has ended, its slot is free");
  }

  transaction<T>(fn: (client: ClientBase) => Promise<T>): Promise<T> {
    if (this.#transaction !== undefined) {
      const message = "ctx.transaction was called a second time: its first commit is what finishes the job";
      return Promise.reject(new RouseError(message));
    }
    const transaction = this.#transact(fn);
    this.#transaction = transaction;
    transaction.catch(() => {});
    return transaction;
  }

  async #transact<T>(fn: (client: ClientBase) => Promise<T>): Promise<T> {
    if (this.#decided) throw new StaleAttemptError("the attempt has ended already");
    this.#transacting = true;
    let note: Note | undefined;
    try {
      const value = await completeWith(this.#tools, this.claimed, this.signal, fn, async (returned: T) => {
        note = await this.#notes?.takeLast();
        return { result: keptResult(returned, this), note };
      });
      this.#decide(undefined);
      return value;
    } catch (error) {
      if (note !== undefined) this.notes.putBack(note);
      throw error;
    } finally {
      this.#transacting = false;
    }
  }

  /** The job was cancelled. It ends so in the database however the attempt ends, which is when the handler has cleaned up. */
  cancel(isCancelled: (job: ClaimedJob) => boolean): void {
    if (!isCancelled(this.claimed) || this.#decided || this.#cleanUp !== undefined) return;
    this.log.info("the job was cancelled");
    this.#cleanUp = new Alarm(() => this.#decide({ kind: "released" }));
    this.#cleanUp.set(CLEAN_UP_MS);
    this.#abort(new CancelledError("the job was cancelled"));
  }

  /** The worker stops and its grace is over: the job goes back, this attempt uncounted. */
  giveBack(): void {
    this.#decide({ kind: "released" });
    this.#abort(new StoppedError("the worker is stopping and its grace is over"));
  }

  /** The job was given to somebody else: whatever this attempt still does changes nothing in the queue. */
  lose(reason: string): void {
    if (this.#decided) return;
    this.log.warn(`the attempt is no longer this worker's: ${reason}`);
    this.#decide(undefined);
    this.#abort(new StaleAttemptError(reason));
  }

  /** Says in the log, once, that the handler goes on though its signal has aborted. */
  tellDeaf(): void {
    if (this.#deaf) return;
    this.#deaf = true;
    this.log.warn("the handler ignores that its signal has aborted, and holds its slot until it ends");
  }

  #succeed(result: unknown): void {
    if (!this.#decided) this.#decide({ kind: "completed", result: keptResult(result, this) });
  }

  #fail(thrown: unknown): void {
    const failure = failureOf(thrown);
    if (this.#cleanUp === undefined) this.log.warn(`failed: ${failure.error.message}`, { retry: failure.retry });
    this.#decide({ kind: "failed", failure });
  }

  #timeOut(timeout: number): void {
    if (this.#decided) return;
    const error = new TimeoutError(`the attempt took longer than its timeout of ${timeout} ms`);
    this.#fail(error);
    this.#abort(error);
  }

  #abort(reason: Error): void {
    this.#abortedAt ??= performance.now();
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
  }

  #decide(end: End | undefined): void {
    if (this.#decided) return;
    this.#decided = true;
    const note = this.#notes?.close();
    if (end !== undefined) this.#tools.onDecided({ ...end, job: this.claimed, note });
  }

  /** What a handler throws because its signal aborted is no news. */
  #noteLate(thrown: unknown): void {
    if (this.#abortedAt !== undefined) return;
    this.log.warn("the handler threw after its attempt had ended", { error: failureOf(thrown).error.message });
  }
}

/** What the handler sees of its attempt. Its properties may be taken apart: `run(payload, { signal, transaction })`. */
class Context implements JobContext {
  readonly #attempt: Attempt;
  #log: Logger | undefined;

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
  }

  get transaction(): JobContext["transaction"] {
    return (fn) => this.#attempt.transaction(fn);
  }

  get progress(): JobContext["progress"] {
    return (share, message) => this.#attempt.notes.progress(share, message);
  }

  get job(): JobInfo {
    return this.#attempt.job;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  get log(): Logger {
    this.#log ??= noting(this.#attempt);
    return this.#log;
  }
}

/** The log of an attempt whose lines are kept with the job too. */
function noting({ log, notes }: Attempt): Logger {
  const at =
    (level: "info" | "warn" | "error"): Logger[typeof level] =>
    (message, fields) => {
      log[level](message, fields);
      notes.line(level, message, fields);
    };
  return { debug: log.debug, info: at("info"), warn: at("warn"), error: at("error") };
}

function isThenable(value: unknown): boolean {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}
