import { BEST, graphileWorker } from "../contenders/graphile-worker.ts";
import { rouse } from "../contenders/rouse.ts";
import { drain } from "../harness/drain.ts";
import { ratio, type Scenario } from "../harness/scenario.ts";

export const scenario: Scenario = {
  title:
    "200,000 no-op jobs: Rouse's defaults, each kept for a day, against graphile-worker's best, which keeps nothing",
  seconds: 70,
  rounds: 3,
  units: { rate: "jobs/s", start: "ms to the first job" },
  variants: {
    rouse: drain(rouse(), 200_000),
    "graphile-worker": drain(graphileWorker(BEST), 200_000),
  },
  targets: [ratio("rate", "rouse", "graphile-worker", { reach: 1.6, beyond: 2.5 })],
};
