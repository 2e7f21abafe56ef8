import { didYouMean } from "../../nearest.ts";
import { defineCommand } from "../command.ts";
import { DATABASE_SETTINGS, withDatabase } from "../database.ts";
import { apply, list, preview, run, setPaused } from "../schedule-actions.ts";
import { UsageError, wholeNumber } from "../usage-error.ts";

const ACTIONS = ["list", "preview", "run", "pause", "resume", "apply"];

export default defineCommand({
  summary: "list, preview, run, pause and resume schedules, or apply a crontab file",
  usage: "<list|preview|run|pause|resume|apply> …",
  positionals: [1, Number.POSITIVE_INFINITY],
  options: {
    timezone: { type: "string", value: "zone", help: "with preview: the zone in which the spec is read (UTC)" },
    count: { type: "string", value: "n", help: "with preview: how many times (5)" },
    "dry-run": { type: "boolean", help: "with apply: only tell what would change" },
  },
  settings: DATABASE_SETTINGS,
  notes: `  rouse schedule list [name…]
  rouse schedule preview "0 8 * * *" --timezone Europe/Berlin
  rouse schedule run <name…>              enqueue its job now
  rouse schedule pause <name…>
  rouse schedule resume <name…>
  rouse schedule apply crontab.txt        make the schedules of that file exactly those it names`,
  async run({ positionals: [action, ...names], options, settings }) {
    if (!ACTIONS.includes(action!)) {
      throw new UsageError(`schedule cannot ${action}${didYouMean(action!, ACTIONS)} (it can ${ACTIONS.join(", ")})`);
    }
    if (action !== "list" && names.length === 0) {
      throw new UsageError(`schedule ${action} needs ${{ preview: "a spec", apply: "a file" }[action!] ?? "a name"}`);
    }
    if ((action === "preview" || action === "apply") && names.length > 1) {
      throw new UsageError(`schedule ${action} takes one argument; put a spec with spaces in quotes`);
    }
    const count = wholeNumber(options.count ?? "5", "--count", 1, 1000);
    const access = action === "list" || action === "preview" ? "view" : "admin";
    return withDatabase(settings, access, async (database) => {
      switch (action) {
        case "list":
          return list(database, names);
        case "preview":
          return preview(database, names[0]!, { count, timezone: options.timezone ?? "UTC" });
        case "run":
          return run(database, names);
        case "apply":
          return apply(database, names[0]!, { dryRun: options["dry-run"] });
        default:
          return setPaused(database, names, action === "pause");
      }
    });
  },
});
