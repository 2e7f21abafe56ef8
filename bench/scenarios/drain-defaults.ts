import { graphileWorker } from "../contenders/graphile-worker.ts";
import { pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import { drain } from "../harness/drain.ts";
import { ratio, type Scenario } from "../harness/scenario.ts";

/** What counts is the rate: the others' defaults would take minutes for 200,000 jobs. */
export const scenario: Scenario = {
  title: "no-op jobs, all with their defaults: 200,000, 20,000 and 6",
  seconds: 90,
  rounds: 3,
  units: { rate: "jobs/s", start: "ms to the first job" },
  variants: {
    rouse: drain(rouse(), 200_000),
    "graphile-worker": drain(graphileWorker(), 20_000),
    "pg-boss": drain(pgBoss(), 6),
  },
  targets: [ratio("rate", "rouse", "graphile-worker", { reach: 20, beyond: 30 })],
};
