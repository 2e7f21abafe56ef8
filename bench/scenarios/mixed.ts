import { setTimeout as sleep } from "node:timers/promises";
import type { Contender } from "../contenders/contender.ts";
import { BEST, graphileWorker } from "../contenders/graphile-worker.ts";
import { pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import { countdown, fill, finished } from "../harness/jobs.ts";
import type { Scenario, Variant } from "../harness/scenario.ts";

const SLOTS = 50;
const HANDLER_MS = 10;
const IDEAL = (SLOTS * 1_000) / HANDLER_MS;
const JOBS = 50_000;

function working(contender: Contender): Variant {
  return {
    on: contender.on,
    async measure(run) {
      const jobs = run.size(JOBS);
      await fill(run, contender, jobs);
      const { count, all } = countdown(jobs);
      let most = 0;
      let running = 0;
      const started = performance.now();
      const worker = await contender.work(run.url, async () => {
        most = Math.max(most, ++running);
        await sleep(HANDLER_MS);
        running -= 1;
        count();
      });
      await all;
      await finished(run, contender);
      const rate = jobs / ((performance.now() - started) / 1_000);
      await worker.stop();
      return { rate, most };
    },
  };
}

/** What is left of the ideal once timers are late, as they are: slots that wait and do nothing else. */
const timersAlone: Variant = {
  on: "rouse",
  async measure({ size }) {
    let left = size(JOBS);
    const started = performance.now();
    const slots = Array.from({ length: SLOTS }, async () => {
      while (left-- > 0) await sleep(HANDLER_MS);
    });
    await Promise.all(slots);
    return { rate: size(JOBS) / ((performance.now() - started) / 1_000), most: SLOTS };
  },
};

export const scenario: Scenario = {
  title: "50,000 jobs of 10 ms in 50 slots; 5,000/s would be ideal",
  units: { rate: "jobs/s", most: "handlers at a time" },
  seconds: 100,
  rounds: 2,
  variants: {
    rouse: working(rouse({ concurrency: SLOTS })),
    "graphile-worker": working(graphileWorker({ ...BEST, concurrentJobs: SLOTS, maxPoolSize: SLOTS + 1 })),
    "pg-boss": working(
      pgBoss({ notify: true, work: { batchSize: 10, localConcurrency: 5, burstWhenBatchFull: true } }),
    ),
    "timers alone": timersAlone,
  },
  targets: [
    { what: "rate: rouse / ideal", of: ({ rouse }) => rouse!.rate! / IDEAL, reach: 0.9 },
    {
      what: "rate: rouse / the best peer",
      of: ({ rouse, ...others }) => rouse!.rate! / Math.max(others["graphile-worker"]!.rate!, others["pg-boss"]!.rate!),
      reach: 1.5,
    },
  ],
};
