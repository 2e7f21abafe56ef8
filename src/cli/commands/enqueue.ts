import { text } from "node:stream/consumers";
import { type JobOptions, jobJson } from "../../client/enqueue.ts";
import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, withDatabase } from "../database.ts";
import { given } from "../given.ts";
import { note, print } from "../output.ts";
import { checkAgainstDeclared } from "../payload-check.ts";
import { instant } from "../time.ts";
import { UsageError, wholeNumber } from "../usage-error.ts";

export default defineCommand({
  summary: "add a job and print its id",
  usage: "<task> [payload]",
  positionals: [1, 2],
  options: {
    queue: { type: "string", value: "name", help: "queue to put it in" },
    priority: { type: "string", value: "n", help: "-100 to 100, a higher number runs first" },
    delay: { type: "string", value: "time", help: 'time until it is due, such as "90s", "1h30m" or "2 days"' },
    "run-at": {
      type: "string",
      value: "instant",
      help: "when it is due: 2026-12-24T18:00Z; local time without a zone",
    },
    "max-attempts": { type: "string", value: "n", help: "attempts before it ends failed" },
    "unique-key": { type: "string", value: "key", help: "while a job of the task with this key is live, print its id" },
    timeout: { type: "string", value: "time", help: "time an attempt may take" },
    tag: { type: "string", value: "label", multiple: true, help: "a label for people; may be repeated" },
    headers: { type: "string", value: "json", help: "a JSON object that travels with the job" },
  },
  settings: DATABASE_SETTINGS,
  notes: `The payload is JSON; - reads it from standard input. What is not given is as the task says.

  rouse enqueue send_welcome '{"userId": 1}' --delay 5m
  rouse enqueue import_sales - < sales.json`,
  async run({ positionals: [task, payload], options, settings }) {
    const { priority, "max-attempts": maxAttempts, "run-at": runAt, headers } = options;
    const job = jobJson(
      task!,
      {},
      given<JobOptions>({
        queue: options.queue,
        priority: priority === undefined ? undefined : wholeNumber(priority, "--priority", -32_768, 32_767),
        delay: options.delay,
        runAt: runAt === undefined ? undefined : instant(runAt, "--run-at"),
        maxAttempts: maxAttempts === undefined ? undefined : wholeNumber(maxAttempts, "--max-attempts", 1, 32_767),
        uniqueKey: options["unique-key"],
        timeout: options.timeout,
        tags: options.tag.length === 0 ? undefined : options.tag,
        headers: headers === undefined ? undefined : (parseJson(headers, "--headers") as Record<string, unknown>),
      }),
    );
    const json = payload === "-" ? await text(process.stdin) : (payload ?? "{}");
    const parsed = parseJson(json, "the payload");
    return withDatabase(settings, "enqueue", async ({ client, schema }) => {
      await checkAgainstDeclared(client, schema, task!, parsed);
      // As text, so that numbers which JavaScript cannot hold arrive as they were written.
      const { rows } = await client.query(
        `select id, created
        from ${schema}.enqueue_many(jsonb_build_array($1::jsonb || jsonb_build_object('payload', $2::jsonb)))`,
        [job, json],
      );
      print(rows[0].id);
      if (!rows[0].created) note("note: a live job has this unique key already; nothing was added");
      return 0;
    });
  },
});

function parseJson(json: string, what: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    const shown = json.length <= 100 ? json : `${json.slice(0, 100)}… (${json.length} characters)`;
    throw new UsageError(
      `${what} is not JSON: ${shown}\n  ${(error as Error).message}; quote it for the shell, such as '{"userId": 1}'`,
    );
  }
}
