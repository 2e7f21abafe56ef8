import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Contender } from "../contenders/contender.ts";
import { BEST, graphileWorker } from "../contenders/graphile-worker.ts";
import { rouse } from "../contenders/rouse.ts";
import { fill } from "../harness/jobs.ts";
import { absolute, type Scenario, type Variant } from "../harness/scenario.ts";
import { median } from "../harness/stats.ts";

interface Program {
  readonly module: string;
  readonly args: (url: string, jobs: number) => readonly string[];
  readonly execArgv?: readonly string[];
}

/** A process that starts a worker by a call. @param worker What memory-worker.mjs takes for the contender. */
const library = (worker: string, execArgv: readonly string[] = []): Program => ({
  module: join(import.meta.dirname, "memory-worker.mjs"),
  args: (url, jobs) => [worker, url, String(jobs)],
  execArgv,
});

/** The command `rouse worker`. */
const COMMAND: Program = {
  module: join(import.meta.dirname, "../../dist/cli/main.js"),
  args: () => ["worker", "--log-level", "warn", join(import.meta.dirname, "memory-tasks.mjs")],
};

function draining(contender: Contender, { module, args, execArgv = [] }: Program, jobs: number): Variant {
  return {
    on: contender.on,
    async measure(run) {
      await fill(run, contender, run.size(jobs));
      const child = fork(module, args(run.url, run.size(jobs)), {
        execArgv: [...execArgv],
        env: { ...process.env, DATABASE_URL: run.url, JOBS: String(run.size(jobs)) },
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
    "rouse worker": draining(rouse(), COMMAND, 1_000_000),
    rouse: draining(rouse(), library("rouse"), 1_000_000),
    "rouse, node --max-semi-space-size=8": draining(rouse(), library("rouse", YOUNG), 200_000),
    "graphile-worker, best": draining(graphileWorker(BEST), library(JSON.stringify(BEST)), 200_000),
    "graphile-worker, node --max-semi-space-size=8": draining(
      graphileWorker(BEST),
      library(JSON.stringify(BEST), YOUNG),
      200_000,
    ),
  },
  targets: [
    absolute("most", "rouse worker", "MB", { reach: 150, atMost: true }),
    absolute("growth", "rouse worker", "×", { reach: 1.1, atMost: true }),
    absolute("most", "rouse", "MB", { reach: 150, atMost: true }),
    absolute("growth", "rouse", "×", { reach: 1.1, atMost: true }),
  ],
};
