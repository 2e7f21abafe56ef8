import { didYouMean } from "../../nearest.ts";
import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, type Database, withDatabase } from "../database.ts";
import { note, print } from "../output.ts";
import { rawRows } from "../rows.ts";
import { formatRecord, formatTable } from "../table.ts";
import { jobIds, UsageError, wholeNumber } from "../usage-error.ts";

const STATES = ["scheduled", "ready", "running", "blocked", "waiting", "succeeded", "failed", "cancelled", "expired"];

const COLUMNS = `id, task, state, queue, priority, "when", age, attempt, worker, progress, last_error`;

export default defineCommand({
  summary: "list jobs, the newest first; or show some with all that is known of them",
  usage: "[id…]",
  positionals: [0, Number.POSITIVE_INFINITY],
  options: {
    task: { type: "string", value: "name", help: "only jobs of this task" },
    queue: { type: "string", value: "name", help: "only jobs in this queue" },
    state: { type: "string", value: "state", help: `only jobs in this state: ${STATES.join(", ")}` },
    limit: { type: "string", value: "n", help: "at most so many (20)" },
    json: { type: "boolean", help: "one JSON object a line, with all columns of the view jobs" },
  },
  settings: DATABASE_SETTINGS,
  notes: `  rouse jobs --state failed --task send_mail
  rouse jobs 4711`,
  async run({ positionals, options, settings }) {
    const { task, queue, state, json } = options;
    if (state !== undefined && !STATES.includes(state)) {
      throw new UsageError(`there is no state ${state}${didYouMean(state, STATES)} (states are ${STATES.join(", ")})`);
    }
    const limit = wholeNumber(options.limit ?? "20", "--limit", 1, 1_000_000);
    const ids = jobIds(positionals);
    return withDatabase(settings, "view", async (database) => {
      if (ids.length > 0) return showJobs(database, ids, json);
      await listJobs(database, [task, queue, state, limit], json);
      return 0;
    });
  },
});

async function listJobs({ client, schema }: Database, filter: unknown[], json: boolean): Promise<void> {
  const { names, rows } = await rawRows(
    client,
    // The ids first, which is cheap: the view's other columns would be worked out for every job there is.
    `select ${json ? "to_json(j)" : COLUMNS}
    from ${schema}.jobs as j
    where id = any (array(
      select id
      from ${schema}.jobs
      where ($1::text is null or task = $1)
        and ($2::text is null or queue = $2)
        and ($3::text is null or state = $3)
      order by id desc
      limit $4
    ))
    order by id desc`,
    filter,
  );
  if (json) for (const [line] of rows) print(line!);
  else if (rows.length === 0) note("no such jobs");
  else for (const line of formatTable(names, rows, { width: process.stdout.columns })) print(line);
}

async function showJobs({ client, schema }: Database, ids: readonly number[], json: boolean): Promise<number> {
  let code = 0;
  for (const [index, id] of ids.entries()) {
    const { names, rows } = await rawRows(
      client,
      json
        ? `select to_json(j) from ${schema}.jobs as j where id = $1`
        : `select j.*, f.detail as last_error_detail from ${schema}.jobs as j left join ${schema}.failures as f using (id) where id = $1`,
      [id],
    );
    const [row] = rows;
    if (row === undefined) {
      note(`there is no job ${id}`);
      code = 1;
    } else if (json) print(row[0]!);
    else {
      if (index > 0) print("");
      for (const line of formatRecord(Object.fromEntries(names.map((name, column) => [name, row[column]!]))))
        print(line);
    }
  }
  return code;
}
