import pg from "pg";
import { rouse } from "../contenders/rouse.ts";
import { ratio, type Scenario, type Variant } from "../harness/scenario.ts";

const CYCLES = 60_000;

/** Jobs enqueued one at a time, each when the worker has run the one before and is asleep again. */
function cycles(held: boolean): Variant {
  const contender = rouse();
  return {
    on: contender.on,
    async measure({ url, size }) {
      let ran = () => {};
      const worker = await contender.work(url, () => ran());
      const client = await contender.connect(url);
      const elsewhere = new pg.Client({ connectionString: url });
      await elsewhere.connect();
      await elsewhere.query(held ? "begin isolation level repeatable read; select 1 from pg_class" : "select 1");
      const total = size(CYCLES);
      const measured = Math.ceil(total / 10);
      let spent = 0;
      for (let n = 0; n < total; n += 1) {
        const run = Promise.withResolvers<void>();
        ran = run.resolve;
        const from = performance.now();
        await client.add(n);
        if (n >= total - measured) spent += performance.now() - from;
        await run.promise;
      }
      await elsewhere.end();
      await client.close();
      await worker.stop();
      // Of the last tenth, where the dead versions of all the cycles before lie about.
      return { rate: measured / (spent / 1_000) };
    },
  };
}

export const scenario: Scenario = {
  title: "single enqueues under a held snapshot, while the worker falls asleep and wakes 60,000 times",
  units: { rate: "enqueues/s" },
  rounds: 1,
  variants: { free: cycles(false), held: cycles(true) },
  targets: [ratio("rate", "held", "free", { reach: 0.9 })],
};
