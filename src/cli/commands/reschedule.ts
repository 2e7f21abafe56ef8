import { toInterval } from "../../tasks/duration.ts";
import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS } from "../database.ts";
import { eachJob } from "../each-job.ts";
import { instant } from "../time.ts";
import { UsageError, wholeNumber } from "../usage-error.ts";

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
  async run(call) {
    const { delay, "run-at": runAt, queue, priority } = call.options;
    if (delay === undefined && runAt === undefined && queue === undefined && priority === undefined) {
      throw new UsageError("nothing to change: give --delay, --run-at, --queue or --priority");
    }
    const changes = [
      runAt === undefined ? null : instant(runAt, "--run-at"),
      delay === undefined ? null : toInterval(delay, "--delay"),
      queue ?? null,
      priority === undefined ? null : wholeNumber(priority, "--priority", -32_768, 32_767),
    ];
    return await eachJob(call, async ({ client, schema }, id) => {
      const text = `select ${schema}.reschedule($1, $2, $3, $4, $5) as done`;
      const { rows } = await client.query(text, [id, ...changes]);
      return rows[0].done
        ? { done: true, message: `job ${id} is rescheduled` }
        : { done: false, message: `job ${id} does not wait: it runs, has ended or is gone` };
    });
  },
});
