import pg from "pg";
import { z } from "zod";
import { createLogger, createRouse, defineTask, type WorkerOptions } from "../../dist/index.js";

import type { Contender, Handler } from "./contender.ts";

const TASK = "noop";
const payload = z.object({ n: z.number() });

export interface RouseSettings {
  /** false: finished jobs leave no trace. */
  readonly keep?: boolean;
  /** Gives the jobs of each bulk so many concurrency keys in turn, of which each lets one job run at a time. */
  readonly keys?: number;
  /** Slots; default Rouse's own. */
  readonly concurrency?: number;
  /** Queue into which single jobs are added, and the only one that the worker serves. */
  readonly queue?: string;
}

/** Rouse with its default settings, but for what a row of the table says. */
export function rouse({ keep = true, keys, concurrency, queue }: RouseSettings = {}): Contender {
  const open = (url: string, task: ReturnType<typeof defineNoop>) =>
    createRouse({ connectionString: url, tasks: [task], log: createLogger({ level: "warn" }) });
  const defineNoop = (run: Handler) => defineTask(TASK, { payload, ...(keep ? {} : { keep: { succeeded: 0 } }), run });
  const worker: WorkerOptions = { ...(concurrency ? { concurrency } : {}), ...(queue ? { queues: [queue] } : {}) };
  return {
    on: "rouse",
    table: "rouse.job",
    unfinished: "true",
    claim: /exchange_v1/,
    async connect(url) {
      const task = defineNoop(() => {});
      const client = open(url, task);
      const sql = new pg.Client({ connectionString: url });
      await sql.connect();
      return {
        addMany: (jobs) =>
          sql.query({
            name: "add_many",
            text: `insert into rouse.job (task, payload, concurrency_key)
              select '${TASK}', jsonb_build_object('n', n), 'key ' || n % $2 from generate_series(1, $1) as n`,
            values: [jobs, keys],
          }),
        add: (n, runAt) => client.enqueue(task, { n }, { ...(queue ? { queue } : {}), ...(runAt ? { runAt } : {}) }),
        close: () => Promise.all([client.close(), sql.end()]),
      };
    },
    async work(url, handler) {
      const client = open(url, defineNoop(handler));
      await client.startWorker(worker);
      return { stop: () => client.close() };
    },
  };
}
