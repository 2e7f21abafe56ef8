import { type Run, ratio, type Scenario } from "../harness/scenario.ts";
import { steady } from "../harness/steady.ts";

/** Jobs that this worker cannot run now: due tomorrow, waiting for a key, of a task it does not know. */
async function crowd({ sql, size }: Run): Promise<void> {
  await sql.query(
    "insert into rouse.job (task, run_at) select 'noop', clock_timestamp() + interval '1 day' from generate_series(1, $1)",
    [size(1_000_000)],
  );
  await sql.query("select rouse.pause(key => 'hot')");
  await sql.query(
    "insert into rouse.job (task, state, lane, concurrency_key) select 'noop', 'blocked', 'key:hot', 'hot' from generate_series(1, $1)",
    [size(100_000)],
  );
  // Due before all the others, so that they stand at the head of the queue.
  await sql.query(
    "insert into rouse.job (task, run_at) select 'elsewhere', clock_timestamp() - interval '1 hour' from generate_series(1, $1)",
    [size(100_000)],
  );
  await sql.query("analyze rouse.job");
}

export const scenario: Scenario = {
  title: "the same beside 1,000,000 future jobs, 100,000 blocked ones and 100,000 of an unknown task",
  seconds: 120,
  rounds: 3,
  units: {
    rate: "jobs/s",
    claim: "ms a call",
    "a job": "µs of calls",
    depth: "ready jobs at the end",
    beside: "other jobs at the end",
  },
  variants: {
    alone: steady({ depth: 10_000 }),
    crowded: steady({ depth: 10_000, beside: crowd }),
  },
  targets: [ratio("claim", "crowded", "alone", { reach: 1.2, atMost: true })],
};
