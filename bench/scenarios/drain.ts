import { BEST as GRAPHILE_BEST, graphileWorker } from "../contenders/graphile-worker.ts";
import { BEST as PG_BOSS_BEST, pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import { drain } from "../harness/drain.ts";
import { ratio, type Scenario } from "../harness/scenario.ts";

export const scenario: Scenario = {
  title: "drain 200,000 no-op jobs, Rouse's defaults (nothing kept) against the peers' best settings",
  units: { rate: "jobs/s" },
  chart: "rate",
  variants: {
    rouse: drain(rouse({ keep: false }), 200_000),
    "graphile-worker": drain(graphileWorker(GRAPHILE_BEST), 200_000),
    "pg-boss": drain(pgBoss(PG_BOSS_BEST), 50_000),
  },
  targets: [
    ratio("rate", "rouse", "graphile-worker", { reach: 2, beyond: 3 }),
    ratio("rate", "rouse", "pg-boss", { reach: 10 }),
  ],
};
