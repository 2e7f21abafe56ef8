import { graphileWorker } from "../contenders/graphile-worker.ts";
import { pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import { drain } from "../harness/drain.ts";
import { ratio, type Scenario } from "../harness/scenario.ts";

export const scenario: Scenario = {
  title: "drain no-op jobs, all with their defaults",
  units: { rate: "jobs/s" },
  chart: "rate",
  variants: {
    rouse: drain(rouse(), 200_000),
    "graphile-worker": drain(graphileWorker(), 20_000),
    "pg-boss": drain(pgBoss(), 10),
  },
  targets: [ratio("rate", "rouse", "graphile-worker", { reach: 20, beyond: 30 })],
};
