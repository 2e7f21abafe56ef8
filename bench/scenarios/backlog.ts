import { ratio, type Scenario } from "../harness/scenario.ts";
import { steady } from "../harness/steady.ts";

export const scenario: Scenario = {
  title: "drain while as many jobs come in as go out",
  seconds: 90,
  rounds: 3,
  units: {
    rate: "jobs/s",
    claim: "ms a call",
    "a job": "µs of calls",
    depth: "ready jobs at the end",
    beside: "other jobs at the end",
  },
  variants: {
    "depth 10,000": steady({ depth: 10_000 }),
    "depth 1,000,000": steady({ depth: 1_000_000 }),
  },
  targets: [ratio("rate", "depth 1,000,000", "depth 10,000", { reach: 0.9 })],
};
