import { rouse } from "../contenders/rouse.ts";
import { drain } from "../harness/drain.ts";
import { fill } from "../harness/jobs.ts";
import { type Measures, type Run, ratio, type Scenario } from "../harness/scenario.ts";

const JOBS = 200_000;

/** What the server itself needs for the two writes that a job cannot do without, each in one statement. */
async function bare(run: Run): Promise<Measures> {
  await fill(run, rouse({ keep: false }), run.size(JOBS));
  const started = performance.now();
  await run.sql.query(`
    update rouse.job
    set
      state = 'running',
      attempt = attempt + 1,
      lease = '00000000-0000-4000-8000-000000000000',
      worker_id = 1,
      started_at = clock_timestamp()
  `);
  const updated = performance.now();
  await run.sql.query("delete from rouse.job");
  const deleted = performance.now();
  return {
    rate: run.size(JOBS) / ((deleted - started) / 1_000),
    update: ((updated - started) / run.size(JOBS)) * 1_000,
    delete: ((deleted - updated) / run.size(JOBS)) * 1_000,
  };
}

export const scenario: Scenario = {
  title: "the same drain, against one bare UPDATE and DELETE of as many rows of the same table",
  seconds: 70,
  rounds: 5,
  units: { rate: "jobs/s", start: "ms to the first job", update: "µs a row", delete: "µs a row" },
  variants: {
    rouse: drain(rouse({ keep: false }), JOBS),
    bare: { on: "rouse", measure: bare },
  },
  targets: [ratio("rate", "rouse", "bare", { reach: 0.4, beyond: 0.6 })],
};
