import { rouse } from "../contenders/rouse.ts";
import { countdown, fill, finished } from "../harness/jobs.ts";
import { absolute, type Scenario, type Variant } from "../harness/scenario.ts";
import { median } from "../harness/stats.ts";

const JOBS = 1_000_000;

/** Resident memory of the worker's process, the few of the bench's own included. */
const draining: Variant = {
  on: "rouse",
  async measure(run) {
    const contender = rouse();
    await fill(run, contender, run.size(JOBS));
    const { count, all } = countdown(run.size(JOBS));
    const samples: number[] = [];
    const timer = setInterval(() => samples.push(process.memoryUsage.rss() / 1e6), 50);
    const worker = await contender.work(run.url, count);
    await all;
    await finished(run, contender);
    clearInterval(timer);
    await worker.stop();
    const quarter = samples.length >> 2;
    const second = median(samples.slice(quarter, 2 * quarter));
    const last = median(samples.slice(3 * quarter));
    return { most: Math.max(...samples), growth: last / second };
  },
};

export const scenario: Scenario = {
  title: "memory of a worker draining 1,000,000 jobs",
  units: { most: "MB", growth: "last quarter / second quarter" },
  seconds: 60,
  rounds: 1,
  variants: { rouse: draining },
  targets: [
    absolute("most", "rouse", "MB", { reach: 150, atMost: true }),
    absolute("growth", "rouse", "×", { reach: 1.1, atMost: true }),
  ],
};
