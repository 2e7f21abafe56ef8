import { beforeEach } from "node:test";
import type pg from "pg";
import type { TestDatabase } from "../support/database.ts";

export type Job = {
  task: string;
  payload: unknown;
  queue: string;
  priority: number;
  state: string;
  unique_key: string | null;
  coalesce_key: string | null;
  headers: Record<string, unknown> | null;
};

type Queryable = Pick<pg.ClientBase | pg.Pool, "query">;

/** The jobs that wait, in the order in which they were made; they are gone afterwards. */
export async function takeJobs(database: TestDatabase): Promise<Job[]> {
  return await database.query<Job>(
    `with taken as (delete from rouse.job returning *)
     select task, payload, queue, priority, state, unique_key, coalesce_key, headers from taken order by id`,
  );
}

/** Their payloads alone. */
export async function takePayloads(database: TestDatabase): Promise<unknown[]> {
  return (await takeJobs(database)).map(({ payload }) => payload);
}

/** Calls rouse.watch() with named arguments and returns the watch's name. */
export async function watch(on: Queryable, relation: string, options: Record<string, unknown>): Promise<string> {
  const named = Object.keys(options).map((name, index) => `${name} => $${index + 2}`);
  const { rows } = await on.query(`select rouse.watch(${["$1", ...named].join(", ")}) as name`, [
    relation,
    ...Object.values(options),
  ]);
  return rows[0].name;
}

export async function unwatch(on: Queryable, name: string): Promise<boolean> {
  const { rows } = await on.query("select rouse.unwatch($1) as removed", [name]);
  return rows[0].removed;
}

/** A row of the view watches. */
export async function watchRow(on: Queryable, name: string): Promise<Record<string, unknown> | undefined> {
  const { rows } = await on.query("select * from rouse.watches where watch = $1", [name]);
  return rows[0];
}

/** Runs the SQL once, before the first test; a second `before` hook at the top of a file would not wait for the database. */
export function setUp(database: TestDatabase, sql: string): void {
  let done: Promise<unknown> | undefined;
  beforeEach(() => {
    done ??= database.query(sql);
    return done.then(() => {});
  });
}
