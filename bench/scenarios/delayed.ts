import type { Contender } from "../contenders/contender.ts";
import { graphileWorker } from "../contenders/graphile-worker.ts";
import { pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import { countdown } from "../harness/jobs.ts";
import { absolute, type Scenario, type Variant } from "../harness/scenario.ts";
import { percentiles } from "../harness/stats.ts";

const JOBS = 1_000;
const SPAN_MS = 20_000;

/** By how much jobs start late that are due at random instants of 20 s. */
function delayed(contender: Contender): Variant {
  return {
    on: contender.on,
    async measure({ url, size }) {
      const jobs = size(JOBS);
      const span = size(SPAN_MS);
      const { count, all } = countdown(jobs);
      const due: number[] = [];
      const late: number[] = [];
      const worker = await contender.work(url, ({ n }) => {
        late.push(performance.timeOrigin + performance.now() - due[n]!);
        count();
      });
      const client = await contender.connect(url);
      const from = Date.now() + 4_000;
      for (let n = 0; n < jobs; n += 1) {
        due[n] = from + Math.floor(Math.random() * span);
        await client.add(n, new Date(due[n]!));
      }
      await all;
      await client.close();
      await worker.stop();
      return { ...percentiles(late), early: late.filter((ms) => ms < 0).length };
    },
  };
}

export const scenario: Scenario = {
  title: "1,000 delayed jobs due at random instants",
  units: { p50: "ms late", p99: "ms late", early: "jobs too early" },
  seconds: 80,
  rounds: 1,
  variants: {
    rouse: delayed(rouse()),
    "graphile-worker": delayed(graphileWorker({ concurrentJobs: 24, maxPoolSize: 25 })),
    "pg-boss": delayed(pgBoss({ notify: false, work: { batchSize: 1_000, pollingIntervalSeconds: 0.5 } })),
  },
  targets: [absolute("p99", "rouse", "ms late", { reach: 50, beyond: 10, atMost: true })],
};
