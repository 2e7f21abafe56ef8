import { setTimeout as sleep } from "node:timers/promises";
import { createRouse } from "../../client/create-rouse.ts";
import type { Rouse, RouseOptions } from "../../client/rouse.ts";
import { importedFiles } from "../../config/import-module.ts";
import type { Settings } from "../../config/settings.ts";
import { createLogger, type Logger, type LogOptions } from "../../log.ts";
import { checkVersion } from "../../migrate/index.ts";
import { Alarm } from "../../worker/alarm.ts";
import type { Worker, WorkerOptions } from "../../worker/worker.ts";
import { connectionString, SERVER_SETTINGS, withDatabase } from "../database.ts";
import { errorText } from "../error-text.ts";
import { explain, type Origin } from "../explain.ts";
import { given } from "../given.ts";
import { packageName } from "../package-name.ts";
import { loadTasks } from "../tasks/load-tasks.ts";
import { keepHeapSmall } from "./small-heap.ts";
import { StopRequest } from "./stop-request.ts";
import { reportFiles, whenWatcherEnds } from "./watched.ts";

/** The settings that a worker reads. */
export const WORKER_SETTINGS = [
  ...SERVER_SETTINGS,
  "tasks",
  "concurrency",
  "queues",
  "name",
  "app",
  "applyWatches",
  "grace",
  "logLevel",
  "logFormat",
] as const;

export type WorkerSettings = Pick<Settings, (typeof WORKER_SETTINGS)[number]>;

export interface RunOptions {
  /** Whether the files were chosen for this process: schedules and watches that they do not hold may then be another's. */
  readonly chosen: boolean;
  /** Stop when nothing is left to do. */
  readonly once: boolean;
  /** Stop after this many milliseconds. */
  readonly maxTime: number | undefined;
}

/** Handlers may hold connections of the pool beyond the grace; then the process ends without them. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Runs a worker until it is told to stop, and gives the exit code. Everything it says is a log line. */
export async function runWorker(settings: WorkerSettings, options: RunOptions): Promise<number> {
  keepHeapSmall();
  const log = workerLog(settings);
  const stop = new StopRequest(log);
  let rouse: Rouse | undefined;
  let worker: Worker | undefined;
  stop.listen(() => worker?.running ?? 0);
  whenWatcherEnds(() => stop.request());
  const alarm = new Alarm(() => {
    log.info("the time for this worker is over");
    stop.request();
  });
  if (options.maxTime !== undefined) alarm.set(options.maxTime);
  const start = async () => {
    const client = await createClient(settings, options, log);
    rouse = client.rouse;
    worker = await rouse.startWorker(workerOptions(settings)).catch((error) => {
      throw explain(error, client.origin);
    });
    if (options.once) {
      await worker.drained();
      log.info("nothing is left to do");
      stop.request();
    }
  };
  try {
    // A module may wait for something as it loads, and the database for a lock: a signal is heeded all the same.
    await Promise.race([start().then(() => stop.requested), stop.requested]);
    await worker?.stop();
    if (rouse !== undefined) await Promise.race([rouse.close(), sleep(CLOSE_TIMEOUT_MS)]);
    return stop.exitCode;
  } catch (error) {
    log.error(errorText(error));
    return 1;
  }
}

/** Loads the tasks, and makes sure of the database before anything is written to it. */
async function createClient(
  settings: WorkerSettings,
  options: RunOptions,
  log: Logger,
): Promise<{ rouse: Rouse; origin: Origin }> {
  const loading = loadTasks(settings.tasks, process.cwd());
  const { tasks, schedules, watches } = await loading.finally(() => reportFiles(importedFiles()));
  const { address, origin } = await checkDatabase(settings, log);
  const ownOf = <T>(all: T[]) => (options.chosen && all.length === 0 ? undefined : all);
  const rouse = createRouse(
    given<RouseOptions>({
      connectionString: address,
      directConnectionString: settings.directUrl,
      schema: settings.schema ?? "rouse",
      tasks,
      schedules: ownOf(schedules),
      watches: settings.applyWatches === "migrate" ? undefined : ownOf(watches),
      app: settings.app ?? (await packageName(process.cwd())),
      log,
    }),
  );
  return { rouse, origin };
}

/** The log that the settings ask for. */
export function workerLog({ logLevel, logFormat }: Pick<Settings, "logLevel" | "logFormat">): Logger {
  return createLogger(given<LogOptions>({ level: logLevel, format: logFormat }));
}

function workerOptions({ concurrency, queues, name, grace }: WorkerSettings): WorkerOptions {
  return given<WorkerOptions>({ concurrency, queues, name, grace });
}

/** Refuses a database that this version cannot run on, before anything is written to it. */
async function checkDatabase(
  settings: WorkerSettings,
  log: Logger,
): Promise<{ address: string | undefined; origin: Origin }> {
  const address = await connectionString(settings);
  return withDatabase(settings, "work", async ({ client }) => {
    const schema = settings.schema ?? "rouse";
    const { version, pending } = await checkVersion(client, schema);
    if (pending > 0) {
      log.warn(`the schema ${schema} lacks ${pending} of this version's migrations; run rouse migrate`, { version });
    }
    return { address, origin: { schema, user: client.user, access: "work" } };
  });
}
