import { ratio, type Scenario } from "../harness/scenario.ts";
import { steady } from "../harness/steady.ts";

export const scenario: Scenario = {
  title: "the same with 5,000,000",
  onlyNamed: true,
  seconds: 110,
  rounds: 1,
  units: {
    rate: "jobs/s",
    claim: "ms a call",
    "a job": "µs of calls",
    depth: "ready jobs at the end",
    beside: "other jobs at the end",
  },
  variants: {
    "depth 10,000": steady({ depth: 10_000 }),
    "depth 5,000,000": steady({ depth: 5_000_000 }),
  },
  targets: [ratio("rate", "depth 5,000,000", "depth 10,000", { reach: 0.9 })],
};
