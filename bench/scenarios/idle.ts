import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { Contender } from "../contenders/contender.ts";
import { BEST, graphileWorker } from "../contenders/graphile-worker.ts";
import { pgBoss } from "../contenders/pg-boss.ts";
import { rouse } from "../contenders/rouse.ts";
import type { Scenario, Variant } from "../harness/scenario.ts";

const NOBODY = "nobody (autovacuum)";
const SECONDS = 60;
/** Sessions report their transactions with a delay of up to 10 s. */
const REPORTED_MS = 11_000;

/** Transactions in the database of a worker that has nothing to do. */
function idle(contender: Contender | undefined): Variant {
  return {
    on: contender?.on ?? "rouse",
    async measure({ url, sql, size }) {
      const seconds = size(SECONDS, 15);
      await sql.end();
      const database = new URL(url).pathname.slice(1);
      const outside = new pg.Client({ connectionString: Object.assign(new URL(url), { pathname: "/postgres" }).href });
      await outside.connect();
      const transactions = async () => {
        const { rows } = await outside.query(
          "select xact_commit + xact_rollback as count from pg_stat_database where datname = $1",
          [database],
        );
        return Number(rows[0].count);
      };
      const worker = await contender?.work(url, () => {});
      await sleep(REPORTED_MS);
      const before = await transactions();
      await sleep(seconds * 1_000);
      const made = (await transactions()) - before;
      await worker?.stop();
      await outside.end();
      return { transactions: made * (60 / seconds) };
    },
  };
}

export const scenario: Scenario = {
  title: "transactions a minute of an idle worker process",
  units: { transactions: "a minute" },
  seconds: 80,
  rounds: 1,
  together: true,
  variants: {
    [NOBODY]: idle(undefined),
    rouse: idle(rouse()),
    "graphile-worker, defaults": idle(graphileWorker()),
    "graphile-worker, 24 slots": idle(graphileWorker({ concurrentJobs: 24, maxPoolSize: 25 })),
    "graphile-worker, best": idle(graphileWorker(BEST)),
    "pg-boss": idle(pgBoss({ notify: true, work: {} })),
    "pg-boss, defaults": idle(pgBoss()),
  },
  targets: [
    {
      what: "transactions: rouse, less those of autovacuum alone",
      of: ({ rouse, [NOBODY]: nobody }) => rouse!.transactions! - nobody!.transactions!,
      unit: "a minute",
      reach: 15,
      atMost: true,
    },
  ],
};
