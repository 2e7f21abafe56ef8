import { setTimeout as sleep } from "node:timers/promises";
import type { Contender } from "../contenders/contender.ts";
import type { Run } from "./scenario.ts";

/** Adds jobs before a measurement, and lets the planner know of them. */
export async function fill({ url, sql }: Run, contender: Contender, jobs: number): Promise<void> {
  const client = await contender.connect(url);
  for (let left = jobs; left > 0; left -= 10_000) await client.addMany(Math.min(left, 10_000));
  await client.close();
  await sql.query(`analyze ${contender.table}`);
}

/** Resolves when all jobs are recorded as finished. */
export async function finished({ sql }: Pick<Run, "sql">, { table, unfinished }: Contender): Promise<void> {
  const query = `select exists (select from ${table} where ${unfinished}) as left`;
  while ((await sql.query(query)).rows[0].left) await sleep(2);
}

/** How many are not recorded as finished. */
export async function countUnfinished({ sql }: Run, { table, unfinished }: Contender): Promise<number> {
  return Number((await sql.query(`select count(*) from ${table} where ${unfinished}`)).rows[0].count);
}

/** Counts jobs as they start; `all` resolves at the last one. */
export function countdown(jobs: number): { readonly count: () => void; readonly all: Promise<void> } {
  let left = jobs;
  const { promise, resolve } = Promise.withResolvers<void>();
  const count = () => {
    left -= 1;
    if (left === 0) resolve();
  };
  return { count, all: promise };
}
