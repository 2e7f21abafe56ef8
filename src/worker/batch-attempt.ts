import { CancelledError, type RouseError, StaleAttemptError, StoppedError, TimeoutError } from "../errors.ts";
import { type Logger, withFields } from "../log.ts";
import { type BatchResult, settledEach } from "../tasks/batch.ts";
import type { AnyTask } from "../tasks/define-task.ts";
import { parseStored } from "../tasks/payload.ts";
import { Alarm } from "./alarm.ts";
import type { AttemptTools } from "./attempt.ts";
import type { BatchContext } from "./context.ts";
import { type End, failureOf } from "./finished.ts";
import { type ClaimedJob, jobInfo, queueOf } from "./job.ts";
import { keptResult } from "./kept-result.ts";

/** One run of a batch task's handler, for many jobs. How each of them ends is decided once, and for itself. */
export class BatchAttempt {
  /** The queue of which it has a slot. */
  readonly queue: string;
  readonly #task: AnyTask;
  readonly #tools: AttemptTools;
  readonly #controller = new AbortController();
  readonly #log: Logger;
  readonly #cancelled = new Set<ClaimedJob>();
  readonly #undecided: Set<ClaimedJob>;
  #abortedAt: number | undefined;
  #deaf = false;

  constructor(jobs: readonly ClaimedJob[], task: AnyTask, tools: AttemptTools) {
    this.queue = queueOf(jobs[0]!);
    this.#undecided = new Set(jobs);
    this.#task = task;
    this.#tools = tools;
    this.#log = withFields(tools.log, { task: task.name, jobs: jobs.length });
  }

  held(): readonly ClaimedJob[] {
    return [...this.#undecided];
  }

  get abortedAt(): number | undefined {
    return this.#abortedAt;
  }

  /** Runs the handler; resolves when it has settled, never rejects. */
  async run(): Promise<void> {
    const { timeout } = this.#task;
    const alarm = new Alarm(() => this.#timeOut(timeout!));
    if (timeout !== undefined) alarm.set(timeout);
    try {
      const members = await this.#parse();
      if (members.length > 0) await this.#runWith(members);
    } catch (thrown) {
      if (this.#undecided.size > 0) this.#log.warn(`failed: ${failureOf(thrown).error.message}`);
      this.#decideAll({ kind: "failed", failure: failureOf(thrown) });
    } finally {
      alarm.clear();
      if (this.#deaf) this.#log.info("the handler that ignored its signal has ended, its slot is free");
    }
  }

  /** A job whose payload does not fit fails by itself. */
  async #parse(): Promise<{ job: ClaimedJob; payload: unknown }[]> {
    const members = [];
    for (const job of this.held()) {
      try {
        members.push({ job, payload: await parseStored(this.#task, job.payload) });
      } catch (thrown) {
        this.#decide(job, { kind: "failed", failure: failureOf(thrown) });
      }
    }
    return members;
  }

  async #runWith(members: readonly { job: ClaimedJob; payload: unknown }[]): Promise<void> {
    const payloads = members.map(({ payload }) => payload);
    const jobs = members.map(({ job }) => jobInfo(job));
    const ctx: BatchContext = { jobs, signal: this.#controller.signal, log: this.#log };
    const call = { task: this.#task.name, payload: payloads, ...ctx };
    const result = await this.#tools.around.run(call, () => this.#task.batch!.run(payloads, ctx));
    const settled = settledEach(members.length, result as BatchResult<unknown>);
    for (const [index, { job }] of members.entries()) {
      const each = settled[index]!;
      if (each.status === "fulfilled") {
        this.#decide(job, { kind: "completed", result: keptResult(each.value, { log: this.#log }) });
      } else {
        this.#decide(job, { kind: "failed", failure: failureOf(each.reason) });
      }
    }
  }

  /** These of its jobs were cancelled: the database ends them so. The signal is for when all were. */
  cancel(isCancelled: (job: ClaimedJob) => boolean): void {
    for (const job of this.#undecided) if (isCancelled(job)) this.#cancelled.add(job);
    if (this.#undecided.size > 0 && this.held().every((job) => this.#cancelled.has(job))) {
      this.#abort(new CancelledError("all jobs of the batch were cancelled"));
    }
  }

  giveBack(): void {
    this.#decideAll({ kind: "released" });
    this.#abort(new StoppedError("the worker is stopping and its grace is over"));
  }

  lose(reason: string): void {
    this.#undecided.clear();
    this.#abort(new StaleAttemptError(reason));
  }

  tellDeaf(): void {
    if (this.#deaf) return;
    this.#deaf = true;
    this.#log.warn("the handler ignores that its signal has aborted, and holds its slot until it ends");
  }

  #timeOut(timeout: number): void {
    const error = new TimeoutError(`the batch took longer than its timeout of ${timeout} ms`);
    this.#log.warn(`failed: ${error.message}`);
    this.#decideAll({ kind: "failed", failure: failureOf(error) });
    this.#abort(error);
  }

  #abort(reason: RouseError): void {
    this.#abortedAt ??= performance.now();
    this.#controller.abort(reason);
  }

  #decideAll(end: End): void {
    for (const job of this.held()) this.#decide(job, end);
  }

  #decide(job: ClaimedJob, end: End): void {
    if (!this.#undecided.delete(job)) return;
    this.#tools.onDecided({ ...end, job });
  }
}
