import { toInterval } from "../../tasks/duration.ts";
import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, withDatabase } from "../database.ts";
import { note, print } from "../output.ts";
import { instant } from "../time.ts";
import { jobIds, UsageError, wholeNumber } from "../usage-error.ts";

export default defineCommand({
  summary: "give waiting jobs another due time, queue or priority",
  usage: "<id…>",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {
    delay: { type: "string", value: "time", help: 'time until they are due, such as "90s", "1h30m" or "2 days"' },
    "run-at": {
      type: "string",
      value: "instant",
      help: "when they are due: 2026-12-24T18:00Z; local time without a zone",
    },
    queue: { type: "string", value: "name", help: "queue to move them to" },
    priority: { type: "string", value: "n", help: "-100 to 100, a higher number runs first" },
  },
  settings: DATABASE_SETTINGS,
  notes: `  rouse reschedule 4711 --delay 10m
  rouse sql "select rouse.reschedule(id, priority => 50) from rouse.job where queue = 'mail'"`,
  async run({ positionals, options, settings }) {
    const ids = jobIds(positionals);
    const { delay, "run-at": runAt, queue, priority } = options;
    if (delay === undefined && runAt === undefined && queue === undefined && priority === undefined) {
      throw new UsageError("nothing to change: give --delay, --run-at, --queue or --priority");
    }
    const changes = [
      runAt === undefined ? null : instant(runAt, "--run-at"),
      delay === undefined ? null : toInterval(delay, "--delay"),
      queue ?? null,
      priority === undefined ? null : wholeNumber(priority, "--priority", -32_768, 32_767),
    ];
    return withDatabase(settings, "admin", async ({ client, schema }) => {
      let code = 0;
      for (const id of ids) {
        const { rows } = await client.query(`select ${schema}.reschedule($1, $2, $3, $4, $5) as done`, [
          id,
          ...changes,
        ]);
        if (rows[0].done) print(`job ${id} is rescheduled`);
        else {
          note(`job ${id} does not wait: it runs, has ended or is gone`);
          code = 1;
        }
      }
      return code;
    });
  },
});
