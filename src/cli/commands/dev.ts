import { isDatabaseNamed } from "../../config/database.ts";
import { announceDevServer, DEV_FOLDER, withdrawDevServer } from "../../config/dev-server.ts";
import { startEmbedded } from "../../dev/index.ts";
import { defineCommand } from "../command.ts";
import { DatabaseFailure } from "../explain.ts";
import { migrateDatabase } from "../migrate-database.ts";
import { note, print } from "../output.ts";
import { flagArguments } from "../parse.ts";
import { isOnPath } from "../path.ts";
import { wholeNumber } from "../usage-error.ts";
import { WORKER_SETTINGS, workerLog } from "../worker/run-worker.ts";
import { watchWorker } from "../worker/watch-worker.ts";

/** Out of the way of a PostgreSQL on its usual port, and the same each time, so that an address can be noted down. */
const PORT = "54329";

export default defineCommand({
  summary: "start a PostgreSQL of its own in .rouse/, migrate, and run the worker with --watch",
  usage: "[file, folder or glob …]",
  positionals: [0, Number.POSITIVE_INFINITY],
  options: {
    port: { type: "string", value: "n", help: `port of that PostgreSQL, or the next free one (${PORT})` },
  },
  settings: WORKER_SETTINGS,
  notes: `With DATABASE_URL or the PG* variables set that server is used instead. While it runs, other commands in the same folder
find its database by themselves.`,
  async run({ positionals, options, settings, flags }) {
    const port = wholeNumber(options.port ?? PORT, "--port", 0, 65_535);
    const folder = process.cwd();
    const server = isDatabaseNamed({ databaseUrl: settings.databaseUrl, environment: process.env })
      ? undefined
      : await startServer(folder, port);
    try {
      const address = server?.url ?? settings.databaseUrl;
      await migrateDatabase(settings.directUrl ?? address, { schema: settings.schema });
      if (server !== undefined) await announceDevServer(folder, server.url);
      introduce(server);
      return await watchWorker({
        args: ["worker", ...flagArguments(flags), "--", ...positionals],
        environment: {
          ...process.env,
          ...(address === undefined ? {} : { DATABASE_URL: address }),
          // Whatever a file says is about another server.
          ...(server === undefined ? {} : { ROUSE_DIRECT_URL: server.url }),
          // It migrates once, and the code changes all day.
          ROUSE_APPLY_WATCHES: "worker",
        },
        patterns: positionals.length > 0 ? positionals : settings.tasks,
        folder,
        log: workerLog(settings),
      });
    } finally {
      if (server !== undefined) {
        await withdrawDevServer(folder);
        await server.stop();
      }
    }
  },
});

type Server = Awaited<ReturnType<typeof startEmbedded>>;

async function startServer(folder: string, port: number): Promise<Server> {
  try {
    return await startEmbedded({ dataDir: `${folder}/${DEV_FOLDER}/postgres`, port, log: note });
  } catch (error) {
    throw new DatabaseFailure((error as Error).message.trimEnd(), { cause: error });
  }
}

function introduce(server: Server | undefined): void {
  if (server === undefined) return;
  print(`PostgreSQL runs on port ${server.port}, with its data in ${server.dataDir}

  DATABASE_URL=${server.url}

Look inside, here or in another terminal:

  ${isOnPath("psql") ? `psql ${server.url}` : 'npx rouse sql "select * from rouse.jobs"'}
`);
}
