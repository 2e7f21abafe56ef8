import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { createLogger, createRouse, type Rouse } from "../../src/index.ts";
import { migrate } from "../../src/migrate/index.ts";
import type { Cleanups } from "./cleanups.ts";
import { openDatabase } from "./database.ts";
import { Mailbox } from "./mailbox.ts";
import { Payments } from "./payments.ts";
import { flushMail, monthlyReport, schedules } from "./schedules.ts";
import { Stopwatch } from "./stopwatch.ts";
import { ms, tell } from "./story.ts";
import * as tasks from "./tasks.ts";
import * as watches from "./watches.ts";

/** The running shop, as the steps use it. */
export type Shop = {
  url: string;
  /** The shop's own connections. */
  db: pg.Pool;
  rouse: Rouse;
  mailbox: Mailbox;
  payments: Payments;
  stopwatch: Stopwatch;
  /** What was heard live of the topic orders. */
  heard: unknown[];
  /** For files that nobody needs afterwards. */
  folder: string;
  /** What the worker and the tasks log is shown from now on. */
  showLog(): void;
};

/** Starts all that the shop needs, and tells of it. */
export async function openShop(cleanups: Cleanups): Promise<Shop> {
  const folder = await mkdtemp(join(tmpdir(), "rouse-shop-files-"));
  cleanups.add(() => rm(folder, { recursive: true, force: true }));

  let since = performance.now();
  const url = await openDatabase(cleanups, tell);
  const db = new pg.Pool({ connectionString: url, application_name: "shop" });
  cleanups.add(() => db.end());
  // A connection that breaks while nobody uses it is replaced when it is next needed.
  db.on("error", () => {});
  const { rows } = await db.query("select current_setting('server_version') as version, inet_server_port() as port");
  tell(`PostgreSQL ${rows[0].version} on port ${rows[0].port}, ready in ${ms(performance.now() - since)}`);

  since = performance.now();
  const { version } = await migrate({ connectionString: url });
  await db.query(await readFile(new URL("schema.sql", import.meta.url), "utf8"));
  tell(
    `Rouse in the schema rouse (migration ${version}), the shop's tables in public, in ${ms(performance.now() - since)}`,
  );

  const mailbox = await Mailbox.open();
  cleanups.add(() => mailbox.close());
  const payments = await Payments.open();
  cleanups.add(() => payments.close());
  // Where tasks find them, as in any application.
  process.env.SMTP_URL = mailbox.url;
  process.env.PAYMENTS_URL = payments.url;
  tell(`A mail server (${mailbox.url}) and a payment provider (${payments.url}) on this machine`);

  let logIsShown = false;
  const log = createLogger({ format: "text", write: (line) => logIsShown && tell(line) });
  const stopwatch = new Stopwatch();
  const rouse = createRouse({
    connectionString: url,
    tasks: stopwatch.watch([...Object.values(tasks), flushMail, monthlyReport]),
    schedules: schedules(join(folder, "sales.csv")),
    watches: Object.values(watches),
    log,
  });
  cleanups.add(() => rouse.close());
  await rouse.startWorker({ name: "shop" });
  const heard: unknown[] = [];
  await rouse.listen("orders", (change) => heard.push(change));
  const { rows: workers } = await db.query("select worker, status, tasks, queues, jobs from rouse.workers");
  const [worker] = workers;
  tell(
    `Worker "${worker.worker}" is ${worker.status}: ${worker.tasks} tasks, ${worker.queues} queues, ${worker.jobs} jobs`,
  );

  const showLog = () => {
    logIsShown = true;
  };
  return { url, db, rouse, mailbox, payments, stopwatch, heard, folder, showLog };
}
