import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS } from "../database.ts";
import { eachJob } from "../each-job.ts";

export default defineCommand({
  summary: "run failed, cancelled or expired jobs again, and those that wait for their next attempt now",
  usage: "<id…>",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {},
  settings: DATABASE_SETTINGS,
  notes: `  rouse retry 4711
  rouse sql "select rouse.retry(id) from rouse.failures where task = 'send_mail'"`,
  run: (call) =>
    eachJob(call, async ({ client, schema }, id) => {
      const { rows } = await client.query(`select ${schema}.retry($1) as retried`, [id]);
      return rows[0].retried
        ? { done: true, message: `job ${id} runs again` }
        : {
            done: false,
            message: `job ${id} has nothing to retry: it is gone, succeeded, runs or is ready, or its unique key is taken`,
          };
    }),
});
