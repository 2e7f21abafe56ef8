import type { Contender } from "../contenders/contender.ts";
import { graphileWorker } from "../contenders/graphile-worker.ts";
import { pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import { countdown } from "../harness/jobs.ts";
import type { Scenario, Variant } from "../harness/scenario.ts";
import { percentiles } from "../harness/stats.ts";

const JOBS = 1_000;
const SPAN_MS = 30_000;

/** By how much jobs start late that are due at random instants of half a minute. */
function delayed(contender: Contender): Variant {
  return {
    on: contender.on,
    async measure({ url, size }) {
      const jobs = size(JOBS);
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
        due[n] = from + Math.floor(Math.random() * SPAN_MS);
        await client.add(n, new Date(due[n]!));
      }
      await all;
      await client.close();
      await worker.stop();
      return { ...percentiles(late), early: late.filter((ms) => ms < 0).length };
    },
  };
}

const late = (limit: number) => ({
  what: "p99 of Rouse, ms late",
  of: (round: Parameters<Scenario["targets"][number]["of"]>[0]) => round.rouse!.p99!,
  reach: limit,
});

export const scenario: Scenario = {
  title: "1,000 delayed jobs due at random instants",
  units: { p50: "ms late", p99: "ms late", early: "jobs too early" },
  rounds: 3,
  variants: {
    rouse: delayed(rouse()),
    "graphile-worker": delayed(graphileWorker({ concurrentJobs: 24, maxPoolSize: 25 })),
    "pg-boss": delayed(pgBoss({ notify: false, work: { batchSize: 1_000, pollingIntervalSeconds: 0.5 } })),
  },
  targets: [{ ...late(50), beyond: 10, atMost: true }],
};
