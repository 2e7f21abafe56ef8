import type { ClientBase } from "pg";
import type { Queryable } from "../client/queryable.ts";
import { RouseError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { AnyTask, InputOf, ResultOf } from "../tasks/define-task.ts";
import { checkInput, parseStored } from "../tasks/payload.ts";
import type { JobContext, JobInfo } from "../worker/context.ts";

export interface RunTaskOptions {
  /** What the handler sees of its job, where it matters; default a first attempt that is due now. */
  readonly job?: Partial<JobInfo>;
  /** Default: never aborts. */
  readonly signal?: AbortSignal;
  /** Default: nothing is logged. */
  readonly log?: Logger;
  /** What `ctx.transaction` gives the handler: the client of the test. */
  readonly client?: Queryable;
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Runs the handler of a task by itself, without a queue: the payload goes through its schema as it would through the
 * database. Of a batch task the payload is a batch of one.
 *
 * @returns What the handler returns. @throws What it throws; PayloadError where the payload does not fit.
 */
export async function runTask<T extends AnyTask>(
  task: T,
  payload: InputOf<T>,
  options: RunTaskOptions = {},
): Promise<ResultOf<T>> {
  const { job, signal = new AbortController().signal, log = silent, client } = options;
  const stored = JSON.parse(JSON.stringify(await checkInput(task, payload)));
  const now = new Date();
  const info: JobInfo = {
    ...{ id: 1, task: task.name, queue: "default", priority: 0, attempt: 1, maxAttempts: null },
    ...{ runAt: now, createdAt: now, scheduledFor: null, tags: [], headers: {} },
    ...job,
  };
  const context = testContext(info, signal, log, async (fn) => {
    if (client === undefined)
      throw new RouseError("ctx.transaction needs a client here: give runTask the one of the test");
    return fn(client as ClientBase);
  });
  return (await task.run(await parseStored(task, stored), context)) as ResultOf<T>;
}

export function testContext(
  job: JobInfo,
  signal: AbortSignal,
  log: Logger,
  transact: JobContext["transaction"],
): JobContext {
  let called = false;
  return {
    job,
    signal,
    log,
    progress() {},
    async transaction(fn) {
      if (called)
        throw new RouseError("ctx.transaction was called a second time: its first commit is what finishes the job");
      called = true;
      return transact(fn);
    },
  };
}
