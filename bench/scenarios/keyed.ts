import { rouse } from "../contenders/rouse.ts";
import { drain } from "../harness/drain.ts";
import { ratio, type Scenario } from "../harness/scenario.ts";

const JOBS = 200_000;

export const scenario: Scenario = {
  title: "200,000 no-op jobs with 10,000 keys, of each of which one runs at a time, against as many without",
  seconds: 80,
  rounds: 3,
  units: { rate: "jobs/s", start: "ms to the first job" },
  variants: {
    plain: drain(rouse({ keep: false }), JOBS),
    keyed: drain(rouse({ keep: false, keys: 10_000 }), JOBS),
  },
  targets: [ratio("rate", "keyed", "plain", { reach: 0.4, beyond: 0.6 })],
};
