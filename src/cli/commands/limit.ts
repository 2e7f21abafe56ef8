import { didYouMean } from "../../nearest.ts";
import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, withDatabase } from "../database.ts";
import { drop, list, type Rule, set, type Target } from "../limit-actions.ts";
import { UsageError } from "../usage-error.ts";

const ACTIONS = ["list", "set", "drop"];

export default defineCommand({
  summary: "list, set and drop limits of queues, tasks and keys",
  usage: "<list|set|drop> …",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {
    queue: { type: "string", value: "name", help: "what is limited: the jobs of a queue," },
    task: { type: "string", value: "name", help: "or of a task," },
    key: { type: "string", value: "key", help: "or of a concurrency key" },
    "each-key": { type: "boolean", help: "not the queue's or task's jobs together, but those of each of their keys" },
    concurrency: { type: "string", value: "n", help: "with set: jobs that run at a time" },
    rate: { type: "string", value: "n", help: "with set: jobs that start in each period" },
    period: { type: "string", value: "time", help: 'with set: time in which that many start, such as "1m" (1s)' },
    burst: { type: "string", value: "n", help: "with set: jobs that may start at once after a pause (1)" },
    holds: { type: "boolean", help: "with set: a failed job keeps its slot until its next attempt" },
  },
  settings: DATABASE_SETTINGS,
  notes: `  rouse limit list [name…]
  rouse limit set --task sync --concurrency 20
  rouse limit set --task sync --each-key --concurrency 2
  rouse limit set --queue mail --rate 100 --period 1m --burst 10
  rouse limit drop --queue mail

rouse pause --key <key…> lets no job of a key start, rouse resume --key <key…> ends that.`,
  async run({ positionals: [action, ...names], options, settings }) {
    if (!ACTIONS.includes(action!)) {
      throw new UsageError(`limit cannot ${action}${didYouMean(action!, ACTIONS)} (it can ${ACTIONS.join(", ")})`);
    }
    if (action === "list") return withDatabase(settings, "view", (database) => list(database, names));
    if (names.length > 0) {
      throw new UsageError(`limit ${action} takes no ${JSON.stringify(names[0])}: name what is limited by an option`);
    }
    const target = targetOf(`limit ${action}`, options);
    const { concurrency, rate, period, burst, holds } = options;
    const rule: Rule = { concurrency, rate, period, burst, holds };
    return withDatabase(settings, "admin", (database) =>
      action === "set" ? set(database, target, rule) : drop(database, target),
    );
  },
});

function targetOf(
  what: string,
  options: { [Kind in "queue" | "task" | "key"]: string | undefined } & { "each-key": boolean },
): Target {
  const { queue, task, key, "each-key": eachKey } = options;
  if ([queue, task, key].filter((name) => name !== undefined).length !== 1) {
    throw new UsageError(`${what} needs one of --queue, --task and --key`);
  }
  return { queue, task, key, eachKey };
}
