import type pg from "pg";
import { outcomeOf, readEnded } from "../client/ended.ts";
import { quoteIdentifier } from "../client/identifier.ts";
import { Around, type Middleware } from "../client/middleware.ts";
import type { Queryable } from "../client/queryable.ts";
import type { Rouse } from "../client/rouse.ts";
import { RouseClient } from "../client/rouse-client.ts";
import { ConfigError, RouseError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { AnyTask, InputOf } from "../tasks/define-task.ts";
import { checkOptions } from "../tasks/options.ts";
import { TaskRegistry } from "../tasks/registry.ts";
import { Drain, type RanJob } from "./drain.ts";
import { silent } from "./run-task.ts";

export type { RanJob } from "./drain.ts";

export interface TestRouseOptions {
  /** The client of the test, in whose transaction all of it happens: what the test rolls back never was. */
  readonly client: Queryable;
  /** Tasks whose jobs `drain` runs and whose payloads are checked. */
  readonly tasks?: Iterable<AnyTask>;
  /** Schema that Rouse was migrated into; default `rouse`. */
  readonly schema?: string;
  readonly middleware?: Iterable<Middleware>;
  /** Default: nothing is logged. */
  readonly log?: Logger;
}

export interface DrainOptions {
  /** Runs jobs as if it were that time: delayed ones, and further attempts, that are due by then. Default: now. */
  readonly until?: Date;
}

/** A job that has not run. */
export interface EnqueuedJob<Payload = unknown> {
  readonly id: number;
  readonly task: string;
  readonly payload: Payload;
  readonly queue: string;
  readonly priority: number;
  readonly runAt: Date;
  readonly uniqueKey: string | null;
  readonly tags: readonly string[];
  readonly headers: Readonly<Record<string, unknown>>;
}

/** A client for tests, which takes the place of the real one in the code that is tested. */
export interface TestRouse
  extends Pick<Rouse, "enqueue" | "enqueueMany" | "publish" | "cancel" | "retry" | "reschedule" | "purge" | "result"> {
  /** Jobs that wait, in the order in which they were enqueued, of one task or all. */
  enqueued(): Promise<EnqueuedJob[]>;
  enqueued<T extends AnyTask>(task: T): Promise<EnqueuedJob<InputOf<T>>[]>;
  /**
   * Runs the jobs that are due, one after the other by priority, due time and id, and those that they enqueue, until none is
   * left. What a handler throws fails its attempt, and what it wrote is undone; the test goes on.
   */
  drain(options?: DrainOptions): Promise<RanJob[]>;
}

/**
 * A client that enqueues and runs jobs within the transaction of a test. Nothing is notified, no worker and no other
 * connection has a part in it.
 *
 * @throws ConfigError for bad options.
 */
export function testRouse(options: TestRouseOptions): TestRouse {
  checkOptions("testRouse", options, ["client", "tasks", "schema", "middleware", "log"]);
  const { client, tasks = [], schema = "rouse", middleware = [], log = silent } = options;
  if (typeof client?.query !== "function") {
    throw new ConfigError("testRouse needs the client of the test, in a transaction: testRouse({ client, tasks })");
  }
  const inner = new RouseClient({ pool: poolOf(client), tasks, schema, middleware, log });
  const quoted = quoteIdentifier(schema);
  const registry = new TaskRegistry(tasks);

  // Queues, delays and retries are those that the tasks declare, as where a worker has started.
  let declared: Promise<unknown> | undefined;
  const declare = () => {
    const declarations = JSON.stringify(registry.tasks.map(({ declaration }) => declaration));
    declared ??= client.query(`select ${quoted}.declare_tasks_v1($1)`, [declarations]);
    return declared;
  };
  const result = async (id: number): Promise<unknown> => {
    const { rows } = await client.query(`select $1::bigint as id, * from ${quoted}.result($1)`, [id]);
    const ended = readEnded(rows[0]!);
    if (["scheduled", "ready", "running", "blocked", "waiting"].includes(ended.state)) {
      throw new RouseError(`job ${id} has not ended, it is ${ended.state}: let drain() run it first`);
    }
    return outcomeOf(ended);
  };
  const withResult = <Handle extends { readonly id: number }>(handle: Handle): Handle => ({
    ...handle,
    result: () => result(handle.id),
  });

  return {
    async enqueue(...call: Parameters<Rouse["enqueue"]>) {
      await declare();
      return withResult(await inner.enqueue(...call));
    },
    async enqueueMany(...call: Parameters<RouseClient["enqueueMany"]>) {
      await declare();
      return (await inner.enqueueMany(...call)).map(withResult);
    },
    publish: (topic, payload, publishing) => inner.publish(topic, payload, { client, ...publishing }),
    cancel: (ids) => inner.cancel(ids),
    retry: (ids) => inner.retry(ids),
    reschedule: (ids, changes) => inner.reschedule(ids, changes),
    purge: (ids) => inner.purge(ids),
    result,
    async enqueued(task?: AnyTask): Promise<EnqueuedJob<never>[]> {
      const { rows } = await client.query(
        `select id, task, payload, queue, priority, run_at, unique_key, tags, headers
        from ${quoted}.job
        where $1::text is null or task = $1
        order by id`,
        [task?.name ?? null],
      );
      return rows.map(readJob);
    },
    async drain({ until } = {}) {
      await declare();
      return new Drain(client, quoted, registry, new Around(middleware), log).run(until);
    },
  } as TestRouse;
}

function readJob(row: Readonly<Record<string, unknown>>): EnqueuedJob<never> {
  const { task, payload, queue, priority, unique_key: uniqueKey, tags, headers } = row;
  return {
    ...{ id: Number(row.id), task, payload, queue, priority: Number(priority), runAt: new Date(row.run_at as string) },
    ...{ uniqueKey, tags: tags ?? [], headers: headers ?? {} },
  } as EnqueuedJob<never>;
}

/** The client in the place of a pool. */
function poolOf(client: Queryable): pg.Pool {
  const query: Queryable["query"] = (text, values) => client.query(text, values);
  return { query, on() {}, off() {}, options: {} } as unknown as pg.Pool;
}
