import { rouse } from "../contenders/rouse.ts";
import { type Run, ratio, type Scenario, type Variant } from "../harness/scenario.ts";
import { holdSnapshot } from "../harness/snapshot.ts";

const CYCLES = 60_000;
/** Workers at a time, each with a queue and a producer of its own: one alone would take minutes. */
const PAIRS = 4;

/** Adds jobs one at a time, each when the worker has run the one before and falls asleep again. */
async function cycles({ url }: Run, queue: string, count: number): Promise<{ rate: number }> {
  const contender = rouse({ queue });
  let ran = () => {};
  const worker = await contender.work(url, () => ran());
  const client = await contender.connect(url);
  const measured = Math.ceil(count / 10);
  let spent = 0;
  for (let n = 0; n < count; n += 1) {
    const run = Promise.withResolvers<void>();
    ran = run.resolve;
    const from = performance.now();
    await client.add(n);
    if (n >= count - measured) spent += performance.now() - from;
    await run.promise;
  }
  await client.close();
  await worker.stop();
  // Of the last tenth, where the dead versions of all the cycles before lie about.
  return { rate: measured / (spent / 1_000) };
}

function sleepers(held: boolean): Variant {
  return {
    on: "rouse",
    async measure(run) {
      await using _ = await holdSnapshot(run.url, held);
      const pairs = Array.from({ length: PAIRS }, (_, n) => cycles(run, `queue ${n}`, run.size(CYCLES) / PAIRS));
      const rates = (await Promise.all(pairs)).map(({ rate }) => rate);
      const { rows } = await run.sql.query(
        "select n_tup_ins + n_tup_upd + n_tup_del as count from pg_stat_user_tables where relid = 'rouse.sleeper'::regclass",
      );
      return { rate: rates.reduce((sum, rate) => sum + rate), signs: Number(rows[0].count) };
    },
  };
}

export const scenario: Scenario = {
  title: "single enqueues while workers fall asleep and wake 60,000 times",
  seconds: 100,
  rounds: 1,
  units: { rate: "enqueues/s", signs: "writes of the sleepers' signs" },
  variants: { free: sleepers(false), held: sleepers(true) },
  targets: [ratio("rate", "held", "free", { reach: 0.9 })],
};
