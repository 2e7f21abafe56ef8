import { type Command, defineCommand } from "./command.ts";
import { DATABASE_SETTINGS, withDatabase } from "./database.ts";
import { print } from "./output.ts";
import { UsageError } from "./usage-error.ts";

/** The commands `pause` and `resume`, which call the function of that name for each queue, task or concurrency key. */
export function queueCommand(name: "pause" | "resume", summary: string, outcome: string): Command {
  return defineCommand({
    summary,
    usage: "<name…>",
    positionals: [1, Number.POSITIVE_INFINITY],
    options: {
      task: { type: "boolean", help: "the names are tasks, not queues" },
      key: { type: "boolean", help: "the names are concurrency keys" },
    },
    settings: DATABASE_SETTINGS,
    async run({ positionals, options, settings }) {
      if (options.task && options.key) throw new UsageError("--task and --key do not go together");
      const kind = options.task ? "task" : options.key ? "key" : "queue";
      return withDatabase(settings, "admin", async ({ client, schema }) => {
        for (const target of positionals) {
          await client.query(`select ${schema}.${name}(${kind} => $1)`, [target]);
          if (kind !== "queue") {
            print(`${kind} ${target} is ${outcome}`);
            continue;
          }
          // Shows whether it was a queue that anybody uses.
          const { rows } = await client.query(
            `select ready, running, scheduled from ${schema}.queues where queue = $1`,
            [target],
          );
          const { ready = 0, running = 0, scheduled = 0 } = rows[0] ?? {};
          print(`queue ${target} is ${outcome}: ${ready} ready, ${running} running, ${scheduled} scheduled`);
        }
        return 0;
      });
    },
  });
}
