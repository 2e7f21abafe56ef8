import type { ClientBase } from "pg";
import type { Logger } from "../log.ts";

/** What a handler knows of the job it runs. */
export interface JobInfo {
  readonly id: number;
  readonly task: string;
  readonly queue: string;
  readonly priority: number;
  /** Number of this attempt, from 1. */
  readonly attempt: number;
  /** Attempts the job was enqueued with; null: as its task says. */
  readonly maxAttempts: number | null;
  /** When this attempt was due. */
  readonly runAt: Date;
  readonly createdAt: Date;
  /** Slot of the schedule that the job serves; null for others. */
  readonly scheduledFor: Date | null;
  readonly tags: readonly string[];
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What a handler gets beside its payload. */
export interface JobContext {
  readonly job: JobInfo;
  /**
   * Aborts on timeout, when the job is cancelled, when the worker's grace for stopping is over, and when the attempt was
   * given to somebody else. Its `reason` says which: TimeoutError, CancelledError, StoppedError, StaleAttemptError.
   */
  readonly signal: AbortSignal;
  /**
   * Logs with the job's id, task and attempt as fields. Lines but those of level debug are kept with the job too, in the
   * table `job_log`: the first 1,000 of an attempt.
   */
  readonly log: Logger;
  /**
   * Says how far the job is, for the view `jobs`. May be called at any rate: it is written down once a second.
   *
   * @param share 0 to 1.
   * @param message The same in words, such as "4,000 of 10,000".
   * @throws RouseError for a share that is none.
   */
  progress(share: number, message?: string): void;
  /**
   * Runs `fn` in a transaction whose commit also completes the job, so that its writes happen exactly once. Its
   * value is the job's result. May be called once in an attempt; what the handler throws afterwards is logged and
   * changes nothing.
   *
   * @throws StaleAttemptError where the attempt is no longer the job's, CancelledError where the job was cancelled, both
   *   with everything rolled back.
   */
  transaction<T>(fn: (client: ClientBase) => Promise<T>): Promise<T>;
}

/** What the handler of a batch gets beside its payloads. */
export interface BatchContext {
  /** The jobs, in the order of the payloads. */
  readonly jobs: readonly JobInfo[];
  /** Aborts on timeout, when all of the jobs were cancelled, when the worker's grace for stopping is over, and when they were given to somebody else. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}
