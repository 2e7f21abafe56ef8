import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS } from "../database.ts";
import { eachJob } from "../each-job.ts";

export default defineCommand({
  summary: "remove every trace of jobs: payload, result, errors and log, live or finished",
  usage: "<id…>",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {},
  settings: DATABASE_SETTINGS,
  run: (call) =>
    eachJob(call, async ({ client, schema }, id) => {
      const { rows } = await client.query(`select ${schema}.purge($1) as purged`, [id]);
      return rows[0].purged
        ? { done: true, message: `job ${id} is gone` }
        : { done: false, message: `there is no job ${id}` };
    }),
});
