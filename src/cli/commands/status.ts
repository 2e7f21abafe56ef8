import { defineCommand } from "../command.ts";
import type { Database } from "../database.ts";
import { DATABASE_SETTINGS, withDatabase } from "../database.ts";
import { print } from "../output.ts";
import { rawRows } from "../rows.ts";
import { formatTable } from "../table.ts";

/** What is shown, and what is said where there is nothing. */
const SECTIONS = [
  {
    title: "Queues",
    empty: "no queue has jobs",
    query: (schema: string) => `select * from ${schema}.queues`,
  },
  {
    title: "Workers",
    empty: "no worker runs",
    query: (schema: string) =>
      `select worker, status, jobs, last_beat, up, queues, tasks, host, pid, version from ${schema}.workers`,
  },
  {
    title: "Latest failures",
    empty: "nothing failed",
    query: (schema: string) =>
      `select id, task, state, attempt, failed, next, error from ${schema}.failures order by failed_at desc limit 5`,
  },
];

export default defineCommand({
  summary: "show queues, workers and the latest failures",
  options: {},
  settings: DATABASE_SETTINGS,
  async run({ settings }) {
    return withDatabase(settings, "view", async (database) => {
      for (const [index, section] of SECTIONS.entries()) {
        if (index > 0) print("");
        print(section.title);
        for (const line of await lines(database, section)) print(line);
      }
      return 0;
    });
  },
});

async function lines({ client, schema }: Database, section: (typeof SECTIONS)[number]): Promise<string[]> {
  const { names, rows } = await rawRows(client, section.query(schema));
  return rows.length === 0 ? [` ${section.empty}`] : formatTable(names, rows, { width: process.stdout.columns });
}
