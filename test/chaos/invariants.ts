import type pg from "pg";
import { WIDE } from "./limits.ts";

/** Something that must hold: its query gives the rows for which it does not. */
export interface Check {
  readonly title: string;
  readonly text: string;
}

/** What holds in every snapshot of Rouse's tables, whatever happens. */
export const INVARIANTS: readonly Check[] = [
  {
    title: "a job has a lease, a worker and a start if and only if it runs",
    text: `select id, state, lease, worker_id, started_at from rouse.job
           where (state = 'running') <> all (array[lease is not null, worker_id is not null, started_at is not null])`,
  },
  {
    title: "a running job has begun an attempt",
    text: "select id, attempt from rouse.job where state = 'running' and attempt < 1",
  },
  {
    title: "no job is ready before it is due",
    text: "select id, run_at from rouse.job where state = 'ready' and run_at > clock_timestamp() + interval '50 ms'",
  },
  {
    title: "no job is live and finished at once",
    text: "select id, j.state, a.state as finished from rouse.job as j join rouse.archive as a using (id)",
  },
  {
    title: "no two live jobs have the same unique key",
    text: `select task, unique_key, array_agg(id) as ids from rouse.job
           where unique_key is not null group by task, unique_key having count(*) > 1`,
  },
  {
    title: "no more jobs of a key than its limit have a slot",
    text: `select concurrency_key, array_agg(id) as ids from rouse.job
           where concurrency_key is not null and state in ('ready', 'running')
           group by concurrency_key
           having count(*) > case concurrency_key when '${WIDE.key}' then ${WIDE.concurrency} else 1 end`,
  },
];

/** Those that do not hold now, each with the first rows that say so. */
export async function violations(client: pg.Client, checks: readonly Check[]): Promise<string[]> {
  const found: string[] = [];
  for (const { title, text } of checks) {
    const { rows } = await client.query(text);
    if (rows.length === 0) continue;
    found.push(
      [`NOT SO: ${title} (${rows.length})`, ...rows.slice(0, 10).map((row) => JSON.stringify(row))].join("\n  "),
    );
  }
  return found;
}
