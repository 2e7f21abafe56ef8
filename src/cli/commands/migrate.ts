import { migrationSql } from "../../migrate/index.ts";
import { applyWatches } from "../apply-watches.ts";
import { defineCommand } from "../command.ts";
import { directConnectionString, SERVER_SETTINGS } from "../database.ts";
import { migrateDatabase } from "../migrate-database.ts";
import { print } from "../output.ts";
import { wholeNumber } from "../usage-error.ts";

export default defineCommand({
  summary: "install Rouse in the database, or bring it up to this version",
  options: {
    sql: { type: "boolean", help: "print the SQL for psql instead, and change nothing" },
    after: { type: "string", value: "n", help: "with --sql: only what follows migration n" },
    shard: { type: "string", value: "n", help: "0 to 511, part of job ids that tells servers apart (0)" },
  },
  settings: [...SERVER_SETTINGS, "applyWatches", "tasks", "app"],
  notes: `With --apply-watches migrate it then loads the tasks, as a worker does, and makes the watches that they export.

  rouse migrate
  rouse migrate --schema jobs
  rouse migrate --sql | psql -v ON_ERROR_STOP=1 -f -`,
  async run({ options, settings }) {
    const { schema = "rouse" } = settings;
    const shard = options.shard === undefined ? undefined : wholeNumber(options.shard, "--shard", 0, 511);
    const after = options.after === undefined ? undefined : wholeNumber(options.after, "--after", 0, 999_999);
    if (options.sql) {
      print((await migrationSql({ schema, shard, after })).trimEnd());
      return 0;
    }
    const address = await directConnectionString(settings);
    const { applied, version } = await migrateDatabase(address, { schema, shard });
    print(`schema ${schema} is at ${version}${applied.length === 0 ? ", as it was before" : ""}`);
    if (settings.applyWatches === "migrate") await applyWatches(address, schema, settings);
    return 0;
  },
});
