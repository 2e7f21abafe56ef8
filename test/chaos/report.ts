import type pg from "pg";
import { OVERLAPS } from "./audit.ts";
import { SETTLED_MS } from "./faults.ts";

interface Figures {
  /** Milliseconds. */
  readonly took: { readonly loading: number; readonly draining: number };
  /** How often the invariants were looked at. */
  readonly looks: number;
  readonly rolledBack: number;
}

/**
 * Runs that were going on when their worker was killed with kill -9, and how long after it their job ran again;
 * `served` where no fault struck the server or all sessions meanwhile, and the server had not started just before.
 */
const RERUNS = `
  select again.began - f.began as ms,
    not exists (
      select from ledger.fault as o
      where o.began < again.began
        and o.ended > f.began - case when o.restart then ${SETTLED_MS} else 0 end
        and o.process is null
        and o.kind <> 'snapshot held'
    ) as served
  from ledger.fault as f
  join ledger.death as d on d.process = f.process and d.at >= f.began
  join ledger.run as lost on lost.process = f.process and lost.ended is null
  cross join lateral (
    select min(r.began) as began from ledger.run as r where r.job_id = lost.job_id and r.began > lost.began
  ) as again
  where f.kind = 'worker killed' and again.began is not null`;

/** What the run was like, in lines. */
export async function report(client: pg.Client, { took, looks, rolledBack }: Figures): Promise<string[]> {
  const one = async (text: string) => (await client.query(text)).rows[0];
  const { jobs, slots } = await one(
    "select (select count(*)::int from ledger.enqueued) as jobs, (select count(*)::int from rouse.slot) as slots",
  );
  const { runs, lost, failed } = await one(
    `select count(*)::int as runs, count(*) filter (where ended is null)::int as lost,
       count(*) filter (where outcome = 'failed')::int as failed from ledger.run`,
  );
  const { passed } = await one(`select count(*)::int as passed from (${OVERLAPS}) as o where allowed`);
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  return [
    `${jobs} jobs were committed in ${seconds(took.loading)}, ${Math.round((jobs / took.loading) * 1_000)} a second, and ${rolledBack} rolled back; ${slots} slots fired; the queue was empty ${seconds(took.draining)} later`,
    `${runs} attempts: ${failed} failed, ${lost} ended with their process; ${passed} were going on while their job, given to others, ran there too`,
    `invariants were looked at ${looks} times during the run`,
    `from kill -9 to the job's next run: ${await distribution(client, "true")}`,
    `the same where the server was well all the time: ${await distribution(client, "served")}`,
  ];
}

async function distribution(client: pg.Client, condition: string): Promise<string> {
  const { rows } = await client.query(
    `select count(*)::int as jobs, max(ms) as most, percentile_cont(array[0.5, 0.95]) within group (order by ms) as percentiles
     from (${RERUNS}) as r where ${condition}`,
  );
  const [{ jobs, most, percentiles }] = rows as [{ jobs: number; most: number; percentiles: [number, number] }];
  if (jobs === 0) return "no job";
  const [p50, p95] = percentiles;
  return `${jobs} jobs, p50 ${Math.round(p50)} ms, p95 ${Math.round(p95)} ms, max ${Math.round(most)} ms`;
}
