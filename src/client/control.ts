import { ConfigError } from "../errors.ts";
import { type Duration, toInterval } from "../tasks/duration.ts";
import { checkOptions } from "../tasks/options.ts";
import type { Queryable } from "./queryable.ts";

/** One job or several, by their ids. */
export type JobIds = number | readonly number[];

export interface ControlOptions {
  /** Where to do it: your own client, in its transaction if it has one. Default: a connection of Rouse's pool. */
  readonly client?: Queryable;
}

/** What `reschedule` changes; what is left out stays. */
export interface RescheduleOptions extends ControlOptions {
  /** When the job is due. Not together with `delay`. */
  readonly runAt?: Date;
  /** Time from now until the job is due. */
  readonly delay?: Duration;
  readonly queue?: string;
  /** −100 to 100; a higher number runs first. */
  readonly priority?: number;
}

/** A function of the database that takes the id of a job and tells whether it did anything. */
type Control = "cancel" | "retry" | "purge";

/** Calls the function for each job, in the order of their ids, and gives how many it did anything with. */
export async function control(client: Queryable, schema: string, name: Control, ids: JobIds): Promise<number> {
  const { rows } = await client.query(
    `select count(*) filter (where done)::integer as done
    from (select ${schema}.${name}(id) as done from unnest($1::bigint[]) as id offset 0) as each`,
    [inOrder(ids)],
  );
  return rows[0]!.done as number;
}

export async function reschedule(
  client: Queryable,
  schema: string,
  ids: JobIds,
  options: RescheduleOptions,
): Promise<number> {
  checkOptions("reschedule", options, ["runAt", "delay", "queue", "priority", "client"]);
  const { runAt, delay, queue, priority } = options;
  if (runAt !== undefined && !(runAt instanceof Date && !Number.isNaN(runAt.getTime()))) {
    throw new ConfigError(`runAt ${String(runAt)} is not a valid Date`);
  }
  const { rows } = await client.query(
    `select count(*) filter (where done)::integer as done
    from (select ${schema}.reschedule(id, $2, $3, $4, $5) as done from unnest($1::bigint[]) as id offset 0) as each`,
    [
      inOrder(ids),
      runAt?.toISOString() ?? null,
      delay === undefined ? null : toInterval(delay, "delay"),
      queue ?? null,
      priority ?? null,
    ],
  );
  return rows[0]!.done as number;
}

/** Two calls that share jobs wait for each other, and never in a circle. */
function inOrder(ids: JobIds): number[] {
  const all = typeof ids === "number" ? [ids] : [...ids];
  const bad = all.find((id) => !Number.isSafeInteger(id));
  if (bad !== undefined) throw new ConfigError(`${String(bad)} is not the id of a job`);
  return all.sort((a, b) => a - b);
}
