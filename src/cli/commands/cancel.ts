import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, withDatabase } from "../database.ts";
import { note, print } from "../output.ts";
import { jobIds } from "../usage-error.ts";

export default defineCommand({
  summary: "end jobs as cancelled: waiting ones at once, running ones through their signal",
  usage: "<id…>",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {},
  settings: DATABASE_SETTINGS,
  notes: `  rouse cancel 4711
  rouse sql "select rouse.cancel(id) from rouse.job where task = 'send_mail'"`,
  async run({ positionals, settings }) {
    const ids = jobIds(positionals);
    return withDatabase(settings, "admin", async ({ client, schema }) => {
      let code = 0;
      for (const id of ids) {
        const { rows } = await client.query(`select ${schema}.cancel($1) as found`, [id]);
        if (!rows[0].found) {
          note(`job ${id} has ended already, or is gone`);
          code = 1;
          continue;
        }
        const running = await client.query(`select from ${schema}.job where id = $1`, [id]);
        print(running.rowCount === 0 ? `job ${id} is cancelled` : `job ${id} ends when its handler has`);
      }
      return code;
    });
  },
});
