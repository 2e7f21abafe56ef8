import { setTimeout as sleep } from "node:timers/promises";
import type { Contender } from "../contenders/contender.ts";
import { BEST, graphileWorker } from "../contenders/graphile-worker.ts";
import { pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import type { Limits, Measures, Run, Scenario, Target, Variant } from "../harness/scenario.ts";
import { percentiles } from "../harness/stats.ts";

const SAMPLES = 1_000;
const WARM_UP = 100;

/** From the call that enqueues to the first line of the handler; the worker has been idle for some 10 ms each time. */
function latency(contender: Contender): Variant {
  return {
    on: contender.on,
    async measure(run: Run): Promise<Measures> {
      let started = (_at: number) => {};
      const worker = await contender.work(run.url, () => started(performance.now()));
      const client = await contender.connect(run.url);
      const samples: number[] = [];
      for (let n = 0; n < run.size(SAMPLES) + WARM_UP; n += 1) {
        await sleep(5 + Math.random() * 10);
        const start = Promise.withResolvers<number>();
        started = start.resolve;
        const from = performance.now();
        await client.add(n);
        samples.push((await start.promise) - from);
      }
      await client.close();
      await worker.stop();
      return percentiles(samples.slice(WARM_UP));
    },
  };
}

const againstBest = (measure: "p50" | "p99", limits: Limits): Target => ({
  what: `${measure}: rouse / the best peer`,
  of: ({ rouse, ...peers }) => rouse![measure]! / Math.min(...Object.values(peers).map((peer) => peer[measure]!)),
  atMost: true,
  ...limits,
});

export const scenario: Scenario = {
  title: "from the call that enqueues to the start on an idle worker, 1,000 samples",
  seconds: 190,
  rounds: 3,
  units: { p50: "ms", p99: "ms" },
  variants: {
    rouse: latency(rouse()),
    "graphile-worker, defaults": latency(graphileWorker()),
    "graphile-worker, best": latency(graphileWorker(BEST)),
    "pg-boss": latency(pgBoss({ notify: true, work: {} })),
  },
  targets: [againstBest("p50", { reach: 0.5, beyond: 0.33 }), againstBest("p99", { reach: 0.7, beyond: 0.33 })],
};
