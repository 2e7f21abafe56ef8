import type { Contender } from "../contenders/contender.ts";
import { countdown, fill, finished } from "./jobs.ts";
import type { Measures, Run, Variant } from "./scenario.ts";

/** Jobs of the warm-up, which is in the same process, so that its code is compiled when it counts. */
const WARM_UP = 20_000;

/**
 * Drains jobs that are there before the worker starts. Time runs from the start of the first job until the last is
 * recorded as finished, not only run; how long the worker took to come to the first job is told apart, as
 * graphile-worker's own performance test does.
 *
 * @param jobs Fewer where a contender needs minutes: what counts is the rate.
 */
export function drain(contender: Contender, jobs: number): Variant {
  return {
    on: contender.on,
    async measure(run: Run): Promise<Measures> {
      const measured = run.size(jobs, 5);
      await drainOnce(run, contender, Math.ceil(Math.min(run.size(WARM_UP), measured / 5)));
      const { start, seconds } = await drainOnce(run, contender, measured);
      return { rate: measured / seconds, start };
    },
  };
}

async function drainOnce(run: Run, contender: Contender, jobs: number): Promise<{ start: number; seconds: number }> {
  await fill(run, contender, jobs);
  const { count, all } = countdown(jobs);
  let first: number | undefined;
  const started = performance.now();
  const worker = await contender.work(run.url, () => {
    first ??= performance.now();
    count();
  });
  await all;
  await finished(run, contender);
  const seconds = (performance.now() - first!) / 1_000;
  await worker.stop();
  return { start: first! - started, seconds };
}
