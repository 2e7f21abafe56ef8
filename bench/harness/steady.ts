import { rouse } from "../contenders/rouse.ts";
import { fill } from "./jobs.ts";
import { timeQueries } from "./queries.ts";
import type { Measures, Run, Variant } from "./scenario.ts";
import { median } from "./stats.ts";

const WARM_UP = 20_000;
const JOBS = 200_000;
/** For each so many jobs that ran as many are added, at most. */
const TOP_UP = 1_000;

/** Drains Rouse while as many jobs come in as go out, so that the queue stays as deep as it was. */
export function steady({ depth, beside }: { depth: number; beside?: (run: Run) => Promise<void> }): Variant {
  const contender = rouse({ keep: false });
  return {
    on: contender.on,
    async measure(run): Promise<Measures> {
      const full = run.size(depth, 100);
      const warmUp = run.size(WARM_UP);
      const jobs = run.size(JOBS);
      const topUp = Math.min(TOP_UP, full / 2);
      await fill(run, contender, full);
      await beside?.(run);
      const producer = await contender.connect(run.url);
      const claims = timeQueries(contender.claim);
      let ran = 0;
      let startedAt = 0;
      let seconds = 0;
      let added = Promise.resolve<unknown>(undefined);
      await new Promise<void>((resolve, reject) => {
        const handler = () => {
          ran += 1;
          if (ran === warmUp) {
            startedAt = performance.now();
            claims.length = 0;
          }
          if (ran === warmUp + jobs) {
            seconds = (performance.now() - startedAt) / 1_000;
            resolve();
          }
          if (ran % topUp === 0) added = added.then(() => producer.addMany(topUp)).catch(reject);
        };
        contender.work(run.url, handler).catch(reject);
      });
      const claim = median(claims);
      const perJob = (claims.reduce((sum, ms) => sum + ms, 0) / jobs) * 1_000;
      await added;
      const { rows } = await run.sql.query(`
        select
          count(*) filter (where state = 'ready' and task = 'noop') as depth,
          count(*) filter (where state in ('scheduled', 'blocked') or task <> 'noop') as beside
        from rouse.job
      `);
      // Ends with the process: draining what is left would only take time.
      return {
        rate: jobs / seconds,
        claim,
        "a job": perJob,
        depth: Number(rows[0].depth),
        beside: Number(rows[0].beside),
      };
    },
  };
}
