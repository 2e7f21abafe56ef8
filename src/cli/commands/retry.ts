import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, withDatabase } from "../database.ts";
import { note, print } from "../output.ts";
import { jobIds } from "../usage-error.ts";

export default defineCommand({
  summary: "run failed, cancelled or expired jobs again, and those that wait for their next attempt now",
  usage: "<id…>",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {},
  settings: DATABASE_SETTINGS,
  notes: `  rouse retry 4711
  rouse sql "select rouse.retry(id) from rouse.failures where task = 'send_mail'"`,
  async run({ positionals, settings }) {
    const ids = jobIds(positionals);
    return withDatabase(settings, "admin", async ({ client, schema }) => {
      let code = 0;
      for (const id of ids) {
        const { rows } = await client.query(`select ${schema}.retry($1) as retried`, [id]);
        if (rows[0].retried) print(`job ${id} runs again`);
        else {
          note(`job ${id} has nothing to retry: it is gone, succeeded, runs or is ready, or its unique key is taken`);
          code = 1;
        }
      }
      return code;
    });
  },
});
