import type { TestDatabase } from "../../support/database.ts";

/** `rouse.cron_next` in ISO 8601 and UTC, as in 2026-01-01T00:00:00Z; null where nothing follows. */
export async function nextTime(
  database: TestDatabase,
  spec: string,
  after: string,
  timezone = "UTC",
): Promise<string | null> {
  const [row] = await database.query<{ next: string | null }>(
    `select to_char(rouse.cron_next($1, $2, $3) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as next`,
    [spec, after, timezone],
  );
  return row!.next;
}

/** The first times of a spec after an instant, as `nextTime` gives them. */
export async function nextTimes(
  database: TestDatabase,
  count: number,
  spec: string,
  after: string,
  timezone = "UTC",
): Promise<string[]> {
  const rows = await database.query<{ next: string }>(
    `with recursive run (n, at) as (
       select 1, rouse.cron_next($1, $2, $3)
       union all
       select n + 1, rouse.cron_next($1, at, $3) from run where n < $4 and at is not null
     )
     select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as next from run where at is not null order by n`,
    [spec, after, timezone, count],
  );
  return rows.map(({ next }) => next);
}
