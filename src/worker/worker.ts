import type { Duration } from "../tasks/duration.ts";
import type { Queues } from "./slots.ts";

export interface WorkerOptions {
  /** Jobs that run at a time; default 10. */
  readonly concurrency?: number;
  /**
   * Queues to serve; default all. Or how many jobs of each run at a time, instead of `concurrency`: `{ mail: 5, "*": 10 }`, where
   * `*` stands for all others together. So no queue, however full, keeps another one from running.
   */
  readonly queues?: Queues;
  /** Name for people, shown in the view `workers`; default host and process id. */
  readonly name?: string;
  /** How long `stop()` waits for running handlers before their signals abort and their jobs go back; default 30 s. */
  readonly grace?: Duration;
}

export interface Worker {
  readonly name: string;
  /** Handlers that run now. */
  readonly running: number;
  /**
   * Stops: takes no more jobs, gives back those not started, waits for running handlers up to the grace, then
   * aborts their signals and gives their jobs back too, attempts uncounted. Safe to call more than once.
   */
  stop(): Promise<void>;
  /** Resolves when there is nothing left to do: no job runs and none is ready for this worker. */
  drained(): Promise<void>;
}
