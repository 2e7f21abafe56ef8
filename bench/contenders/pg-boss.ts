import { PgBoss, type WorkOptions } from "pg-boss";
import type { Contender, Payload } from "./contender.ts";

export interface PgBossSettings {
  readonly notify: boolean;
  readonly work: WorkOptions;
}

/** A second loop drained a quarter more here: one fetches while the other completes. */
export const BEST: PgBossSettings = {
  notify: true,
  work: { batchSize: 1_000, burstWhenBatchFull: true, localConcurrency: 2 },
};

const QUEUE = "noop";

/** A batch of it is complete when all its jobs are, which run together. @param settings None: its defaults. */
export function pgBoss({ notify, work }: PgBossSettings = { notify: false, work: {} }): Contender {
  const open = async (connectionString: string, options = {}) => {
    const boss = new PgBoss({ connectionString, useListenNotify: notify, ...options });
    boss.on("error", (error) => console.error(error));
    await boss.start();
    await boss.createQueue(QUEUE, { notify });
    return boss;
  };
  return {
    on: "pg_boss",
    table: "pgboss.job",
    unfinished: `name = '${QUEUE}' and state < 'completed'`,
    claim: /skip locked/i,
    async connect(url) {
      const boss = await open(url, { supervise: false, schedule: false, useListenNotify: false });
      return {
        addMany: (jobs) =>
          boss.insert(
            QUEUE,
            Array.from({ length: jobs }, (_, n) => ({ data: { n } })),
          ),
        add: (n, startAfter) => boss.send(QUEUE, { n }, startAfter === undefined ? {} : { startAfter }),
        close: () => boss.stop({ graceful: false }),
      };
    },
    async work(url, handler) {
      const boss = await open(url);
      await boss.work<Payload>(QUEUE, work, async (jobs) => {
        await Promise.all(jobs.map((job) => handler(job.data)));
      });
      return { stop: () => boss.stop({ graceful: true }) };
    },
  };
}
