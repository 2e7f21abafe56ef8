import { ConfigError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { JobInfo } from "../worker/context.ts";
import type { Enqueued, JobOptions } from "./enqueue.ts";
import type { Queryable } from "./queryable.ts";

/** A job as it is about to be enqueued; its payload is checked after all middleware. */
export interface NewJob extends JobOptions {
  readonly task: string;
  readonly payload: unknown;
}

/** A call of `enqueue`, which has one job, or of `enqueueMany`. */
export interface EnqueueCall {
  readonly jobs: readonly NewJob[];
  /** Where they are enqueued; undefined: on a connection of Rouse's pool. */
  readonly client: Queryable | undefined;
}

/** A run of a handler. */
export interface RunCall {
  readonly task: string;
  /** As the handler gets it; a list where it runs a batch. */
  readonly payload: unknown;
  /** The job, or those of a batch in the order of their payloads. */
  readonly jobs: readonly JobInfo[];
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/**
 * What is done around every enqueue and every run of a client: tracing, a database client of one's own, context. The first
 * of a list is the outermost. What it throws counts as thrown by `enqueue`, or by the handler.
 */
export interface Middleware {
  /** Hands the jobs on to `next`, changed or not, and gives back what that gives. */
  enqueue?(call: EnqueueCall, next: (call: EnqueueCall) => Promise<readonly Enqueued[]>): Promise<readonly Enqueued[]>;
  /** Lets the handler run by `next`, and gives back the result. */
  run?(call: RunCall, next: () => Promise<unknown>): Promise<unknown>;
}

/** The middleware of a client, ready to be put around its calls. */
export class Around {
  readonly #enqueue: readonly NonNullable<Middleware["enqueue"]>[];
  readonly #run: readonly NonNullable<Middleware["run"]>[];

  /** @throws ConfigError for what is no middleware. */
  constructor(middleware: Iterable<Middleware> = []) {
    const all = [...middleware];
    const bad = all.find((each) => typeof each?.enqueue !== "function" && typeof each?.run !== "function");
    if (bad !== undefined || all.includes(undefined as never)) {
      throw new ConfigError("middleware contains something with neither a function enqueue nor a function run");
    }
    this.#enqueue = all.flatMap((each) => each.enqueue?.bind(each) ?? []);
    this.#run = all.flatMap((each) => each.run?.bind(each) ?? []);
  }

  enqueue(call: EnqueueCall, core: (call: EnqueueCall) => Promise<readonly Enqueued[]>): Promise<readonly Enqueued[]> {
    return this.#enqueue.reduceRight<typeof core>((next, layer) => async (inner) => layer(inner, next), core)(call);
  }

  /** Whether there is anything around runs. */
  get runs(): boolean {
    return this.#run.length > 0;
  }

  /** What the handler gives, as the middleware hands it on. */
  run(call: RunCall, handler: () => unknown): Promise<unknown> {
    return this.#run.reduceRight<() => Promise<unknown>>(
      (next, layer) => async () => layer(call, next),
      async () => handler(),
    )();
  }
}
