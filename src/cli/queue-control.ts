import { type Command, defineCommand } from "./command.ts";
import { DATABASE_SETTINGS, withDatabase } from "./database.ts";
import { print } from "./output.ts";

/** The commands `pause` and `resume`, which call the function of that name for each queue. */
export function queueCommand(name: "pause" | "resume", summary: string, outcome: string): Command {
  return defineCommand({
    summary,
    usage: "<queue…>",
    positionals: [1, Number.POSITIVE_INFINITY],
    options: {},
    settings: DATABASE_SETTINGS,
    async run({ positionals, settings }) {
      return withDatabase(settings, "admin", async ({ client, schema }) => {
        for (const queue of positionals) {
          await client.query(`select ${schema}.${name}($1)`, [queue]);
          // Shows whether it was a queue that anybody uses.
          const { rows } = await client.query(
            `select ready, running, scheduled from ${schema}.queues where queue = $1`,
            [queue],
          );
          const { ready = 0, running = 0, scheduled = 0 } = rows[0] ?? {};
          print(`queue ${queue} is ${outcome}: ${ready} ready, ${running} running, ${scheduled} scheduled`);
        }
        return 0;
      });
    },
  });
}
