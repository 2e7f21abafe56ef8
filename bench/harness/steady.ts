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
      const topUp = Math.min(TOP_UP, Math.ceil(run.size(depth) / 2));
      await fill(run, contender, run.size(depth));
      await beside?.(run);
      const producer = await contender.connect(run.url);
      const claims = timeQueries(contender.claim);
      let ran = 0;
      let startedAt = 0;
      let seconds = 0;
      await new Promise<void>((resolve) => {
        const handler = () => {
          ran += 1;
          if (ran === WARM_UP) {
            startedAt = performance.now();
            claims.length = 0;
          }
          if (ran === WARM_UP + run.size(JOBS)) {
            seconds = (performance.now() - startedAt) / 1_000;
            resolve();
          }
          if (ran % topUp === 0) void producer.addMany(topUp);
        };
        void contender.work(run.url, handler);
      });
      // Ends with the process: draining what is left would only take time.
      return { rate: run.size(JOBS) / seconds, claim: median(claims) };
    },
  };
}
