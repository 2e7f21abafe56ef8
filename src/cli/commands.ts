import type { Command } from "./command.ts";

/** The commands in the order of the help. Each is loaded when it is called, so that none slows another down. */
export const COMMANDS: Readonly<Record<string, () => Promise<{ default: Command }>>> = {
  dev: () => import("./commands/dev.ts"),
  migrate: () => import("./commands/migrate.ts"),
  worker: () => import("./commands/worker.ts"),
  enqueue: () => import("./commands/enqueue.ts"),
  status: () => import("./commands/status.ts"),
  jobs: () => import("./commands/jobs.ts"),
  retry: () => import("./commands/retry.ts"),
  cancel: () => import("./commands/cancel.ts"),
  reschedule: () => import("./commands/reschedule.ts"),
  purge: () => import("./commands/purge.ts"),
  pause: () => import("./commands/pause.ts"),
  resume: () => import("./commands/resume.ts"),
  limit: () => import("./commands/limit.ts"),
  schedule: () => import("./commands/schedule.ts"),
  doctor: () => import("./commands/doctor.ts"),
  sql: () => import("./commands/sql.ts"),
};
