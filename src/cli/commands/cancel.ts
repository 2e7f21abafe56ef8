import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS } from "../database.ts";
import { eachJob } from "../each-job.ts";

export default defineCommand({
  summary: "end jobs as cancelled: waiting ones at once, running ones through their signal",
  usage: "<id…>",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {},
  settings: DATABASE_SETTINGS,
  notes: `  rouse cancel 4711
  rouse sql "select rouse.cancel(id) from rouse.job where task = 'send_mail'"`,
  run: (call) =>
    eachJob(call, async ({ client, schema }, id) => {
      const { rows } = await client.query(`select ${schema}.cancel($1) as found`, [id]);
      if (!rows[0].found) return { done: false, message: `job ${id} has ended already, or is gone` };
      const running = await client.query(`select from ${schema}.job where id = $1`, [id]);
      return {
        done: true,
        message: running.rowCount === 0 ? `job ${id} is cancelled` : `job ${id} ends when its handler has`,
      };
    }),
});
