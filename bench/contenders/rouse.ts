import pg from "pg";
import { z } from "zod";
import { createLogger, createRouse, defineTask } from "../../src/index.ts";
import type { WorkerOptions } from "../../src/worker/worker.ts";
import type { Contender, Handler } from "./contender.ts";

const TASK = "noop";
const payload = z.object({ n: z.number() });

/** Rouse with its default settings, but for what a row of the table says: nothing kept, or more slots. */
export function rouse({ keep = true, ...worker }: { keep?: boolean } & WorkerOptions = {}): Contender {
  const open = (url: string, task: ReturnType<typeof defineNoop>) =>
    createRouse({ connectionString: url, tasks: [task], log: createLogger({ level: "warn" }) });
  const defineNoop = (run: Handler) => defineTask(TASK, { payload, ...(keep ? {} : { keep: { succeeded: 0 } }), run });
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
            text: `insert into rouse.job (task, payload)
              select '${TASK}', jsonb_build_object('n', n) from generate_series(1, $1) as n`,
            values: [jobs],
          }),
        add: (n, runAt) => client.enqueue(task, { n }, runAt === undefined ? {} : { runAt }),
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
