import { toMilliseconds } from "../../tasks/duration.ts";
import { defineCommand } from "../command.ts";
import { flagArguments } from "../parse.ts";
import { UsageError } from "../usage-error.ts";
import { runWorker, WORKER_SETTINGS, workerLog } from "../worker/run-worker.ts";
import { watchWorker } from "../worker/watch-worker.ts";

export default defineCommand({
  summary: "run jobs: load the tasks and work until stopped",
  usage: "[file, folder or glob …]",
  positionals: [0, Number.POSITIVE_INFINITY],
  options: {
    watch: { type: "boolean", help: "restart when a file changes; running jobs end first" },
    once: { type: "boolean", help: "stop when no job is ready" },
    "max-time": { type: "string", value: "time", help: "stop after this time" },
  },
  settings: WORKER_SETTINGS,
  notes: `Without files tasks.ts and tasks/ are loaded, TypeScript as it is; every export that is a task, a schedule or a
watch counts, and so do those in exported lists and objects. The first SIGTERM or Ctrl-C lets running jobs end, the second one ends at once.

  rouse worker
  rouse worker src/mail.ts 'src/**/*.tasks.ts' --queues mails,default --concurrency 20
  rouse worker --once --max-time 5m`,
  async run({ positionals, options, settings, flags }) {
    const { watch, once, "max-time": maxTime } = options;
    const tasks = positionals.length > 0 ? positionals : settings.tasks;
    if (watch && (once || maxTime !== undefined)) {
      throw new UsageError(`--watch goes on until it is stopped: leave out ${once ? "--once" : "--max-time"}`);
    }
    const milliseconds = maxTime === undefined ? undefined : toMilliseconds(maxTime, "--max-time");
    if (!watch)
      return runWorker({ ...settings, tasks }, { chosen: positionals.length > 0, once, maxTime: milliseconds });
    return watchWorker({
      args: ["worker", ...flagArguments(flags), "--", ...positionals],
      environment: process.env,
      patterns: tasks,
      folder: process.cwd(),
      log: workerLog(settings),
    });
  },
});
