import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Contender } from "../contenders/contender.ts";
import { BEST, graphileWorker } from "../contenders/graphile-worker.ts";
import { rouse } from "../contenders/rouse.ts";
import { fill } from "../harness/jobs.ts";
import { absolute, type Scenario, type Variant } from "../harness/scenario.ts";
import { median } from "../harness/stats.ts";

/** @param worker What memory-worker.mjs takes for the contender. */
function draining(contender: Contender, worker: string, jobs: number, execArgv: readonly string[] = []): Variant {
  return {
    on: contender.on,
    async measure(run) {
      await fill(run, contender, run.size(jobs));
      const child = fork(join(import.meta.dirname, "memory-worker.mjs"), [worker, run.url, String(run.size(jobs))], {
        execArgv: [...execArgv],
      });
      const [samples] = (await once(child, "message")) as [number[]];
      const quarter = samples.length >> 2;
      const second = median(samples.slice(quarter, 2 * quarter));
      const last = median(samples.slice(3 * quarter));
      return { most: Math.max(...samples), growth: last / second };
    },
  };
}

/** Node lets the young generation grow to 128 MB before it looks for what is no longer used. This makes it look earlier. */
const YOUNG = ["--max-semi-space-size=8"];

export const scenario: Scenario = {
  title: "memory of a worker that drains 1,000,000 jobs; of the other variants 200,000",
  seconds: 110,
  rounds: 1,
  units: { most: "MB", growth: "last quarter / second quarter" },
  variants: {
    rouse: draining(rouse(), "rouse", 1_000_000),
    "rouse, node --max-semi-space-size=8": draining(rouse(), "rouse", 200_000, YOUNG),
    "graphile-worker, best": draining(graphileWorker(BEST), JSON.stringify(BEST), 200_000),
    "graphile-worker, node --max-semi-space-size=8": draining(
      graphileWorker(BEST),
      JSON.stringify(BEST),
      200_000,
      YOUNG,
    ),
  },
  targets: [
    absolute("most", "rouse", "MB", { reach: 150, atMost: true }),
    absolute("growth", "rouse", "×", { reach: 1.1, atMost: true }),
  ],
};
