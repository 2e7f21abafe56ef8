import type { ClientBase } from "pg";
import type { Around } from "../client/middleware.ts";
import type { Queryable } from "../client/queryable.ts";
import { RouseError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { toJson } from "../tasks/json.ts";
import { parseStored } from "../tasks/payload.ts";
import type { TaskRegistry } from "../tasks/registry.ts";
import type { JobContext, JobInfo } from "../worker/context.ts";
import { failureOf } from "../worker/finished.ts";
import { testContext } from "./run-task.ts";

/** One attempt that `drain` ran. */
export interface RanJob {
  readonly id: number;
  readonly task: string;
  readonly attempt: number;
  /** Where the job is now: `succeeded`, `failed`, or `scheduled` or `ready` for its next attempt; `cancelled`. */
  readonly state: string;
  /** What the handler returned. */
  readonly result?: unknown;
  /** What it threw. */
  readonly error?: unknown;
}

type Row = Readonly<Record<string, unknown>>;

/** Runs jobs one after the other in the transaction of a test, each handler within a savepoint. */
export class Drain {
  readonly #client: Queryable;
  readonly #schema: string;
  readonly #tasks: TaskRegistry;
  readonly #around: Around;
  readonly #log: Logger;

  constructor(client: Queryable, schema: string, tasks: TaskRegistry, around: Around, log: Logger) {
    this.#client = client;
    this.#schema = schema;
    this.#tasks = tasks;
    this.#around = around;
    this.#log = log;
  }

  async run(until: Date | undefined): Promise<RanJob[]> {
    await this.#checkTransaction();
    const worker = (await this.#call("register_v1('test')")).register_v1;
    const ran: RanJob[] = [];
    for (;;) {
      const { rows } = await this.#client.query(
        `select * from ${this.#schema}.claim_v1($1, null, $2, 1, coalesce($3, clock_timestamp()))`,
        [worker, this.#tasks.names(), until?.toISOString() ?? null],
      );
      if (rows[0] === undefined) break;
      ran.push(await this.#runJob(rows[0]));
    }
    await this.#call("deregister_v1($1)", [worker]);
    return ran;
  }

  async #runJob(row: Row): Promise<RanJob> {
    const job = readInfo(row);
    const ran = { id: job.id, task: job.task, attempt: job.attempt };
    let committed: RanJob | undefined;
    const complete = async (result: unknown): Promise<RanJob> => {
      const json = result === undefined ? null : (toJson(result).text ?? null);
      const { complete_v1: state } = await this.#call("complete_v1($1, $2, $3)", [row.id, row.lease, json]);
      return { ...ran, state: state as string, result };
    };
    await this.#client.query("savepoint rouse_test");
    try {
      const result = await this.#handle(job, row.payload, async (fn) => {
        const value = await fn(this.#client as ClientBase);
        committed = await complete(value);
        await this.#client.query("release savepoint rouse_test; savepoint rouse_test");
        return value;
      });
      committed ??= await complete(result);
      await this.#client.query("release savepoint rouse_test");
      return committed;
    } catch (error) {
      await this.#client.query("rollback to savepoint rouse_test");
      // What a handler throws after its transaction has finished the job changes nothing.
      return committed ?? { ...ran, state: await this.#fail(row, error), error };
    }
  }

  async #fail(row: Row, thrown: unknown): Promise<string> {
    const { error, retry = true, at, after } = failureOf(thrown);
    const { fail_v1: state } = await this.#call(
      "fail_v1($1, $2, $3, $4, coalesce($5, clock_timestamp() + $6::interval))",
      [
        ...[row.id, row.lease, JSON.stringify(error), retry, at?.toISOString() ?? null],
        after === undefined ? null : `${after} milliseconds`,
      ],
    );
    return state as string;
  }

  async #handle(job: JobInfo, stored: unknown, transact: JobContext["transaction"]): Promise<unknown> {
    const task = this.#tasks.get(job.task)!;
    const payload = await parseStored(task, stored);
    const { signal } = new AbortController();
    const context = testContext(job, signal, this.#log, transact);
    const call = { task: task.name, payload, jobs: [job], signal, log: this.#log };
    return this.#around.run(call, () => task.run(payload, context));
  }

  /** The columns of the only row. */
  async #call(call: string, values: unknown[] = []): Promise<Row> {
    const { rows } = await this.#client.query(`select ${this.#schema}.${call}`, values);
    return rows[0]!;
  }

  async #checkTransaction(): Promise<void> {
    try {
      await this.#client.query("savepoint rouse_test");
    } catch (error) {
      if ((error as { code?: string }).code !== "25P01") throw error;
      throw new RouseError(
        "drain runs jobs in the transaction of the test, and there is none: begin one on its client",
      );
    }
  }
}

function readInfo(row: Row): JobInfo {
  const date = (value: unknown) => new Date(value as string);
  const { task, queue, priority, attempt } = row as unknown as JobInfo;
  return {
    ...{ id: Number(row.id), task, queue, priority, attempt },
    maxAttempts: row.max_attempts as number | null,
    runAt: date(row.run_at),
    createdAt: date(row.created_at),
    scheduledFor: row.scheduled_for === null ? null : date(row.scheduled_for),
    tags: (row.tags ?? []) as string[],
    headers: (row.headers ?? {}) as Record<string, unknown>,
  };
}
