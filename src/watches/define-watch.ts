import { ConfigError } from "../errors.ts";
import { type AnyTask, isTask } from "../tasks/define-task.ts";
import { type Duration, toInterval } from "../tasks/duration.ts";
import { checkOptions } from "../tasks/options.ts";
import type { PayloadSchema } from "../tasks/standard-schema.ts";
import type { WatchEvent } from "./row-change.ts";
import type { ColumnOf, Receivers, Sent, Takes } from "./sent.ts";

/** Marks watches, as tasks are marked: by a symbol that every copy of this package shares. */
const WATCH = Symbol.for("rouse.watch");

export interface WatchOptions<
  Row,
  Events extends readonly WatchEvent[],
  Payload extends string,
  Key extends readonly ColumnOf<Row>[],
  Batch extends number | undefined,
  Tasks extends Receivers,
> {
  /** The table, as SQL names it: `orders`, `billing.orders`, `"Orders"`. */
  readonly relation: string;
  /**
   * Schema of a row as JSON, as PostgreSQL's to_jsonb gives it, with the columns that matter. It checks where the code is
   * compiled that the tasks take what is sent, and when the watch is made that the table has these columns.
   */
  readonly row?: PayloadSchema<Row, unknown>;
  /** Who gets a job: a task, its name, or a list of them. */
  readonly task?: Tasks & Takes<Tasks, Sent<Row, Events[number], Payload, Key, Batch>>;
  /** Topic to publish to: a job for each subscribed task, and a live broadcast. */
  readonly topic?: string;
  /** Of insert, update, delete, truncate; default the first three. */
  readonly events?: Events;
  /** An update counts only where one of these really changed. */
  readonly columns?: readonly NoInfer<ColumnOf<Row>>[];
  /** SQL over `new` and `old`, the row after and before, such as `new.status = 'paid'`; rows that do not meet it make no job. */
  readonly condition?: string;
  /**
   * What a job gets. `change` (default): `{ event, old, new }`, see `rowChange`; `row`: the new row, or the deleted one;
   * `key`: its key columns; `changed`: `{ event, key, old, new }` with the columns that changed; or SQL over `new` and
   * `old`, such as `jsonb_build_object('id', new.id)`, whose type nobody checks before the job runs.
   */
  readonly payload?: Payload | "change" | "row" | "key" | "changed";
  /** Columns that identify a row; default the primary key. Named here, the type of the payloads `key` and `changed` is known. */
  readonly key?: Key;
  /** One job for up to so many rows of a statement, its payload a list; default a job for each row. */
  readonly batch?: Batch;
  /** A name, or SQL over the row such as `new.region`. */
  readonly queue?: string;
  /** −100 to 100, or SQL over the row. */
  readonly priority?: number | string;
  /** A duration, or SQL over the row that gives an interval. */
  readonly delay?: Duration;
  /** While a job of the task with this key is live, a change makes none. `key` is the key of the row; or SQL over it. */
  readonly uniqueKey?: string;
  /** While a job with this key waits, a change gives it its payload instead. `key` is the key of the row; or SQL over it. */
  readonly coalesceKey?: string;
  /** Of the jobs with this key one runs at a time, in order. `key` is the key of the row; or SQL over it. */
  readonly concurrencyKey?: string;
  /** Settings to copy into the headers of the jobs, such as `app.tenant`. */
  readonly context?: readonly string[];
  /** When an expression fails: `report` it and let the write go on (default), or `raise` it. */
  readonly onError?: "report" | "raise";
  /** Triggers for each statement or each row; default the one that sees every write. */
  readonly level?: "statement" | "row";
  /** How long to try for the lock that making a trigger needs; default 5 s. */
  readonly lockWait?: Duration;
}

export interface Watch {
  readonly [WATCH]: true;
  readonly name: string;
  readonly relation: string;
  /** The arguments of the SQL function watch(), and the columns that `row` takes the table to have. */
  readonly declaration: Readonly<Record<string, unknown>>;
}

const OPTIONS = [
  "relation",
  "row",
  "task",
  "topic",
  "events",
  "columns",
  "condition",
  "payload",
  "key",
  "batch",
  "queue",
  "priority",
  "delay",
  "uniqueKey",
  "coalesceKey",
  "concurrencyKey",
  "context",
  "onError",
  "level",
  "lockWait",
];

/**
 * Defines a watch: changes of a table's rows make jobs, whoever writes. A worker that starts with it, or `rouse migrate`,
 * makes the triggers; a watch that the code no longer defines is removed then.
 *
 * @throws ConfigError for a bad option. What concerns the table and SQL is checked by the database when the watch is made.
 */
export function defineWatch<
  // biome-ignore lint/suspicious/noExplicitAny: without a schema of the row nothing is known of it
  Row = any,
  const Events extends readonly WatchEvent[] = readonly ["insert", "update", "delete"],
  const Payload extends string = "change",
  const Key extends readonly ColumnOf<Row>[] = readonly [],
  const Batch extends number | undefined = undefined,
  const Tasks extends Receivers = string,
>(name: string, options: WatchOptions<Row, Events, Payload, Key, Batch, Tasks>): Watch {
  if (typeof name !== "string" || name.length < 1 || name.length > 200) {
    throw new ConfigError(`watch name ${JSON.stringify(name)} is not a string of 1 to 200 characters`);
  }
  if (typeof options?.relation !== "string") {
    throw new ConfigError(`watch "${name}" says nowhere what it watches: give relation, such as relation: "orders"`);
  }
  checkOptions(`watch "${name}"`, options, OPTIONS);
  const { task, topic, priority, delay, lockWait } = options;
  const tasks = task === undefined ? [] : [task].flat();
  if (tasks.length === 0 && topic === undefined) {
    throw new ConfigError(`watch "${name}" needs a task or a topic`);
  }
  for (const receiver of tasks) {
    if (typeof receiver !== "string" && !isTask(receiver)) {
      throw new ConfigError(`watch "${name}": task is neither a task made by defineTask nor a name`);
    }
  }

  return Object.freeze({
    [WATCH]: true as const,
    name,
    relation: options.relation,
    declaration: {
      name,
      tasks: tasks.map((receiver) => (typeof receiver === "string" ? receiver : (receiver as AnyTask).name)),
      topic,
      events: options.events,
      columns: options.columns,
      condition: options.condition,
      payload: options.payload,
      key: options.key,
      row_columns: columnsOf(name, options.row),
      batch: options.batch,
      queue: options.queue,
      priority: priority === undefined ? undefined : String(priority),
      // A string may as well be SQL over the row.
      delay: typeof delay === "number" ? toInterval(delay, `watch "${name}": delay`) : delay,
      unique_key: options.uniqueKey,
      coalesce_key: options.coalesceKey,
      concurrency_key: options.concurrencyKey,
      context: options.context,
      on_error: options.onError,
      level: options.level,
      lock_wait: lockWait === undefined ? undefined : toInterval(lockWait, `watch "${name}": lockWait`),
    },
  });
}

/** Whether a value is a watch, whichever copy of this package made it. */
export function isWatch(value: unknown): value is Watch {
  return typeof value === "object" && value !== null && (value as Record<PropertyKey, unknown>)[WATCH] === true;
}

/** The columns that a schema of a row names; undefined where it tells of none, as a union does or a record. */
function columnsOf(watch: string, row: PayloadSchema | undefined): string[] | undefined {
  const jsonSchema = row?.["~standard"].jsonSchema;
  if (jsonSchema === undefined) return undefined;
  try {
    const { properties } = jsonSchema.input({ target: "draft-2020-12" });
    return properties === undefined ? undefined : Object.keys(properties as object);
  } catch (error) {
    throw new ConfigError(
      `watch "${watch}": row is not a schema of JSON (${(error as Error).message}): describe a row as to_jsonb gives it, a timestamp as z.string()`,
      { cause: error },
    );
  }
}
