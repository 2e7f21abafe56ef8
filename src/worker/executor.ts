import type { Logger } from "../log.ts";
import type { TaskRegistry } from "../tasks/registry.ts";
import { Attempt, type AttemptTools } from "./attempt.ts";
import { BatchAttempt } from "./batch-attempt.ts";
import type { Ending } from "./finished.ts";
import { Gathering } from "./gathering.ts";
import { type ClaimedJob, queueOf } from "./job.ts";
import { remove } from "./remove.ts";

/** Most jobs that are claimed ahead of a free slot. */
const MOST_AHEAD = 2_000;
/** Longest call that is bridged with jobs claimed ahead. */
const LONGEST_BRIDGE_MS = 100;
/** Longest that a job claimed ahead waits for a slot before others may have it. */
const LONGEST_AHEAD_MS = 500;
/** How long a handler may go on after its signal aborted before the log says so. */
const DEAF_MS = 3_000;

export interface ExecutorOptions extends Omit<AttemptTools, "onDecided"> {
  readonly concurrency: number;
  /** Whether jobs may be claimed before there is a slot for them. */
  readonly claimsAhead: boolean;
  readonly tasks: TaskRegistry;
  readonly log: Logger;
  /** Whether what was claimed is still this worker's, as far as it can tell without asking. */
  readonly mayBegin: () => boolean;
  readonly onFinished: (ending: Ending) => void;
  /** A slot became free and nothing is left to fill it. */
  readonly onRoom: () => void;
  /** Mean time of a call to the database in milliseconds. */
  readonly callMs: () => number;
}

/**
 * Runs handlers in its slots. Jobs are claimed ahead of free slots only as far as the measured duration of
 * handlers says that a slot would otherwise stand empty for the time of a call: by the hundred where handlers take
 * microseconds, not at all where they take longer than a call. A job that has waited here for half a second goes
 * back, and with it all behind it.
 *
 * Jobs of batch tasks gather beside that, and take a slot together when they run.
 */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #tools: AttemptTools;
  /** No Set: see `remove`. */
  readonly #attempts: (Attempt | BatchAttempt)[] = [];
  readonly #gathering = new Gathering(() => this.#fill());
  #ahead: ClaimedJob[] = [];
  #next = 0;
  #handlerMs: number | undefined;
  #aheadTimer: NodeJS.Timeout | undefined;
  #paused = false;
  #stopping = false;
  #emptied: (() => void)[] = [];

  constructor(options: ExecutorOptions) {
    this.#options = options;
    const { onFinished: onDecided, ...tools } = options;
    this.#tools = { ...tools, onDecided };
  }

  /** Handlers that run, those included that ignore their signal. */
  get running(): number {
    return this.#attempts.length;
  }

  /** Whether no job is here: none runs, gathers or waits for a slot. */
  get idle(): boolean {
    return this.#attempts.length === 0 && this.#gathering.isEmpty && this.#aheadCount() === 0;
  }

  /** How many more jobs should be held here. */
  room(): number {
    const taken = this.#attempts.length + this.#aheadCount() + this.#gathering.ready;
    return this.#options.concurrency + this.#aheadWanted() - taken;
  }

  /** The queues whose jobs have the slots that are taken, one name for each. */
  taken(): string[] {
    const waiting = [...this.#gathering.first(), ...this.#ahead.slice(this.#next)].map(queueOf);
    return [...this.#attempts.map(({ queue }) => queue), ...waiting];
  }

  accept(jobs: readonly ClaimedJob[]): void {
    if (this.#stopping) {
      for (const job of jobs) this.#options.onFinished({ kind: "released", job });
      return;
    }
    const waiting = this.#ahead.slice(this.#next);
    // Each batch comes in the order of its priorities; a more urgent one does not queue up behind what was claimed before.
    const overtakes = waiting.length > 0 && jobs.length > 0 && jobs[0]!.priority > waiting.at(-1)!.priority;
    this.#ahead = waiting.length === 0 ? [...jobs] : [...waiting, ...jobs];
    if (overtakes) this.#ahead.sort((a, b) => b.priority - a.priority);
    this.#next = 0;
    this.#fill();
    this.#watchAhead();
  }

  /** Jobs held here, running or not, whose end is not decided. */
  held(): ClaimedJob[] {
    const undecided = this.#attempts.flatMap((attempt) => attempt.held());
    return [...undecided, ...this.#gathering.jobs(), ...this.#ahead.slice(this.#next)];
  }

  /** Slots held by handlers that go on though their signal has aborted. Of each that does for long the log tells once. */
  stuck(): number {
    const deaf = this.#attempts.filter((attempt) => attempt.abortedAt !== undefined);
    for (const attempt of deaf) {
      if (performance.now() - attempt.abortedAt! > DEAF_MS) attempt.tellDeaf();
    }
    return deaf.length;
  }

  /** Starts no more handlers until resumed. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#fill();
    this.#options.onRoom();
  }

  /** Takes no more jobs and gives back what was claimed ahead. */
  stop(): void {
    this.#stopping = true;
    this.#giveBackWaiting();
  }

  /** Resolves when no handler runs. */
  async emptied(): Promise<void> {
    if (this.#attempts.length === 0) return;
    await new Promise<void>((resolve) => this.#emptied.push(resolve));
  }

  /** Aborts what runs and gives its jobs back; handlers that ignore their signal go on, to no effect. */
  giveBackRunning(): void {
    for (const attempt of this.#attempts) attempt.giveBack();
  }

  /** Of these jobs, those held here were cancelled: aborts what runs, and gives back the rest, which ends it. */
  cancel(isCancelled: (job: ClaimedJob) => boolean): void {
    for (const attempt of this.#attempts) attempt.cancel(isCancelled);
    this.#giveBack(this.#gathering.take(isCancelled));
    const waiting = this.#takeAhead();
    this.#ahead = waiting.filter((job) => !isCancelled(job));
    this.#giveBack(waiting.filter(isCancelled));
    this.#watchAhead();
  }

  /** Everything held here has gone to others: aborts what runs and forgets the rest. */
  lose(reason: string): void {
    for (const attempt of this.#attempts) attempt.lose(reason);
    this.#gathering.take();
    this.#takeAhead();
  }

  #aheadCount(): number {
    return this.#ahead.length - this.#next;
  }

  #aheadWanted(): number {
    if (this.#handlerMs === undefined || !this.#options.claimsAhead) return 0;
    const bridged = 2 * Math.min(this.#options.callMs(), LONGEST_BRIDGE_MS);
    return Math.floor(Math.min((this.#options.concurrency * bridged) / Math.max(this.#handlerMs, 0.001), MOST_AHEAD));
  }

  #fill(): void {
    this.#gather();
    while (!this.#paused && this.#attempts.length < this.#options.concurrency) {
      // A process that was frozen wakes up with jobs that others may have run meanwhile.
      if (!this.#options.mayBegin()) {
        this.#giveBackWaiting();
        return;
      }
      const batch = this.#gathering.next();
      if (batch !== undefined) {
        const late = new Set(batch.jobs.filter(isLate));
        const jobs = batch.jobs.filter((job) => !late.has(job));
        this.#giveBack([...late]);
        if (jobs.length > 0) this.#run(new BatchAttempt(jobs, batch.task, this.#tools));
      } else if (this.#aheadCount() > 0) {
        const job = this.#ahead[this.#next]!;
        this.#next += 1;
        this.#start(job);
      } else {
        break;
      }
    }
  }

  /** Moves jobs of batch tasks from what was claimed to where they gather. */
  #gather(): void {
    if (!this.#options.tasks.hasBatches) return;
    const jobs = this.#ahead.slice(this.#next);
    this.#ahead = jobs.filter((job) => this.#options.tasks.get(job.task)?.batch === undefined);
    this.#next = 0;
    for (const job of jobs) {
      const task = this.#options.tasks.get(job.task);
      if (task?.batch !== undefined) this.#gathering.add(task, job);
    }
  }

  #start(job: ClaimedJob): void {
    const task = this.#options.tasks.get(job.task);
    if (task === undefined || isLate(job)) {
      this.#options.onFinished({ kind: "released", job });
      return;
    }
    this.#run(new Attempt(job, task, this.#tools), performance.now());
  }

  /** @param started When, where the duration is to be measured. */
  #run(attempt: Attempt | BatchAttempt, started?: number): void {
    this.#attempts.push(attempt);
    const running = attempt.run();
    if (running === undefined) {
      this.#ended(attempt, started);
      return;
    }
    void running.then(() => {
      this.#ended(attempt, started);
      this.#fill();
    });
  }

  #ended(attempt: Attempt | BatchAttempt, started: number | undefined): void {
    remove(this.#attempts, attempt);
    if (started !== undefined) this.#measure(performance.now() - started);
    if (this.#aheadCount() === 0) this.#options.onRoom();
    if (this.#attempts.length === 0) for (const resolve of this.#emptied.splice(0)) resolve();
  }

  /** A mean that follows a change within some ten jobs, and a change to slow ones at once. */
  #measure(ms: number): void {
    const mean = this.#handlerMs ?? ms;
    this.#handlerMs = ms > mean * 100 ? ms : mean + (ms - mean) / 8;
  }

  #watchAhead(): void {
    if (this.#aheadTimer !== undefined || this.#aheadCount() === 0) return;
    const waited = performance.now() - this.#ahead[this.#next]!.claimedAt;
    this.#aheadTimer = setTimeout(
      () => {
        this.#aheadTimer = undefined;
        if (this.#aheadCount() > 0 && performance.now() - this.#ahead[this.#next]!.claimedAt >= LONGEST_AHEAD_MS) {
          // Until a handler has shown otherwise they take at least as long: claiming ahead again would be in vain again.
          this.#handlerMs = Math.max(this.#handlerMs ?? 0, LONGEST_AHEAD_MS);
          this.#giveBack(this.#takeAhead());
        } else {
          this.#watchAhead();
        }
      },
      Math.max(LONGEST_AHEAD_MS - waited, 0) + 1,
    );
  }

  #giveBackWaiting(): void {
    this.#giveBack(this.#gathering.take());
    this.#giveBack(this.#takeAhead());
  }

  #giveBack(jobs: readonly ClaimedJob[]): void {
    for (const job of jobs) this.#options.onFinished({ kind: "released", job });
  }

  #takeAhead(): ClaimedJob[] {
    clearTimeout(this.#aheadTimer);
    this.#aheadTimer = undefined;
    const jobs = this.#ahead.slice(this.#next);
    this.#ahead = [];
    this.#next = 0;
    return jobs;
  }
}

/** It has expired since it was claimed: given back, it ends so. */
function isLate({ startBy }: ClaimedJob): boolean {
  return startBy !== undefined && performance.now() >= startBy;
}
