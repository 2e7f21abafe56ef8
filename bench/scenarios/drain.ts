import { BEST as GRAPHILE_BEST, graphileWorker } from "../contenders/graphile-worker.ts";
import { BEST as PG_BOSS_BEST, pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import { drain } from "../harness/drain.ts";
import { ratio, type Scenario } from "../harness/scenario.ts";

const JOBS = 200_000;

export const scenario: Scenario = {
  title: "200,000 no-op jobs: Rouse's defaults, nothing kept, against the best settings of the others",
  seconds: 150,
  rounds: 5,
  units: { rate: "jobs/s", start: "ms to the first job" },
  variants: {
    rouse: drain(rouse({ keep: false }), JOBS),
    "graphile-worker": drain(graphileWorker(GRAPHILE_BEST), JOBS),
    "pg-boss": drain(pgBoss(PG_BOSS_BEST), JOBS),
  },
  targets: [
    ratio("rate", "rouse", "graphile-worker", { reach: 2, beyond: 3 }),
    ratio("rate", "rouse", "pg-boss", { reach: 10 }),
  ],
};
