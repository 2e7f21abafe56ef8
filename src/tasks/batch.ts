import { ConfigError } from "../errors.ts";
import type { BatchContext, JobContext } from "../worker/context.ts";
import { type Duration, toMilliseconds } from "./duration.ts";
import { checkOptions } from "./options.ts";

/** How jobs of a task are gathered, so that one call of `run` gets many payloads. */
export interface BatchOptions {
  /** Most payloads in a call. */
  readonly size: number;
  /** How long the first one waits for more; default not at all: what was claimed together runs together. */
  readonly wait?: Duration;
}

/** What a batch gives: nothing where all jobs succeeded, or what became of each, in the order of the payloads. */
// biome-ignore lint/suspicious/noConfusingVoidType: what a function without return gives
export type BatchResult<Result> = void | readonly PromiseSettledResult<Result>[];

export type BatchRun<Output, Result> = (
  payloads: readonly Output[],
  context: BatchContext,
) => BatchResult<Result> | Promise<BatchResult<Result>>;

/** How a worker runs a task in batches. */
export interface Batch {
  readonly size: number;
  readonly waitMs: number;
  readonly run: BatchRun<unknown, unknown>;
}

/** @throws ConfigError for bad options. */
export function checkBatch(task: string, options: BatchOptions, run: BatchRun<never, unknown>): Batch {
  checkOptions(`the batch of task "${task}"`, options, ["size", "wait"]);
  const { size, wait = 0 } = options;
  if (!(Number.isInteger(size) && size >= 1 && size <= 10_000)) {
    throw new ConfigError(`task "${task}": batch.size ${String(size)} is not a whole number from 1 to 10000`);
  }
  const waitMs = toMilliseconds(wait, `task "${task}": batch.wait`);
  // Jobs that wait for others are held by the worker, where nobody else can have them.
  if (waitMs > 60_000)
    throw new ConfigError(`task "${task}": batch.wait ${JSON.stringify(wait)} is more than a minute`);
  return { size, waitMs, run: run as BatchRun<unknown, unknown> };
}

/** A batch task's `run` for one job by itself. */
export function runAlone<Output, Result>(run: BatchRun<Output, Result>) {
  return async (payload: Output, { job, signal, log }: JobContext): Promise<Result> => {
    const [settled] = settledEach(1, await run([payload], { jobs: [job], signal, log }));
    if (settled!.status === "rejected") throw settled!.reason;
    return settled!.value;
  };
}

/** What became of each of so many jobs. @throws ConfigError where the batch gave something else. */
export function settledEach<Result>(
  count: number,
  result: BatchResult<Result>,
): readonly PromiseSettledResult<Result>[] {
  if (result === undefined) return Array(count).fill({ status: "fulfilled", value: undefined });
  const isSettled = (each: unknown) => ["fulfilled", "rejected"].includes((each as { status?: string })?.status ?? "");
  if (!Array.isArray(result) || result.length !== count || !result.every(isSettled)) {
    throw new ConfigError(
      `the run of a batch gives nothing, or a list as Promise.allSettled does with one entry for each of its ${count} payloads`,
    );
  }
  return result;
}
