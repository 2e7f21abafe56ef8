import { ratio, type Scenario } from "../harness/scenario.ts";
import { steady } from "../harness/steady.ts";

export const scenario: Scenario = {
  title: "drain at a constant depth of ready jobs",
  units: { rate: "jobs/s", claim: "ms a call" },
  rounds: 3,
  variants: {
    "depth 10,000": steady({ depth: 10_000 }),
    "depth 1,000,000": steady({ depth: 1_000_000 }),
    "depth 5,000,000": steady({ depth: 5_000_000 }),
  },
  targets: [
    ratio("rate", "depth 1,000,000", "depth 10,000", { reach: 0.9 }),
    ratio("rate", "depth 5,000,000", "depth 10,000", { reach: 0.9 }),
  ],
};
