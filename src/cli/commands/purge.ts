import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, withDatabase } from "../database.ts";
import { note, print } from "../output.ts";
import { jobIds } from "../usage-error.ts";

export default defineCommand({
  summary: "remove every trace of jobs: payload, result, errors and log, live or finished",
  usage: "<id…>",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {},
  settings: DATABASE_SETTINGS,
  async run({ positionals, settings }) {
    const ids = jobIds(positionals);
    return withDatabase(settings, "admin", async ({ client, schema }) => {
      let code = 0;
      for (const id of ids) {
        const { rows } = await client.query(`select ${schema}.purge($1) as purged`, [id]);
        if (rows[0].purged) print(`job ${id} is gone`);
        else {
          note(`there is no job ${id}`);
          code = 1;
        }
      }
      return code;
    });
  },
});
