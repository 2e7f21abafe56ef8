import { Logger, makeWorkerUtils, run } from "graphile-worker";
import type { Contender, Payload } from "./contender.ts";

/** What its own performance test sets (perfTest/graphile.config.js). */
export const BEST: GraphileConfig.WorkerOptions = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};

const TASK = "noop";
const ADD_MANY = `
  select count(*)
  from graphile_worker.add_jobs(array(
    select json_populate_record(
      null::graphile_worker.job_spec,
      json_build_object('identifier', '${TASK}', 'payload', json_build_object('n', n))
    )
    from generate_series(1, $1) as n
  ))`;
const logger = new Logger(() => () => {});

/** @param settings The `worker` section of its preset; none: its defaults. */
export function graphileWorker(settings: GraphileConfig.WorkerOptions = {}): Contender {
  return {
    on: "graphile_worker",
    table: "graphile_worker._private_jobs",
    unfinished: "true",
    claim: /skip locked/i,
    async connect(url) {
      const utils = await makeWorkerUtils({ connectionString: url, logger });
      return {
        addMany: (jobs) => utils.withPgClient((client) => client.query(ADD_MANY, [jobs])),
        add: (n, runAt) => utils.addJob(TASK, { n }, runAt === undefined ? {} : { runAt }),
        close: async () => utils.release(),
      };
    },
    async work(url, handler) {
      return run({
        preset: { worker: { ...settings, connectionString: url, logger } },
        taskList: { [TASK]: (payload) => handler(payload as Payload) },
        noHandleSignals: true,
      });
    },
  };
}
