/** What ran from cron or apscheduler runs here: `npx rouse worker tasks.ts` in the folder of manage.py. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { defineSchedule, defineTask } from "../../src/index.ts";

/** The commands that a job may run. A payload comes from whoever may enqueue, so it chooses from this list, never more. */
const COMMANDS = ["welcome", "flush_mail", "make_report", "sleep", "clearsessions"] as const;

/** Runs `manage.py COMMAND ARGS…`. Its output goes to the job's log; the job's signal stops it. */
export const manage = defineTask("manage", {
  payload: z.object({ command: z.enum(COMMANDS), args: z.array(z.string().regex(/^[^-]/)).default([]) }),
  retry: { maxAttempts: 3, base: "10s" },
  timeout: "10m",
  async run({ command, args }, ctx) {
    const child = spawn(process.env.PYTHON ?? "python3", ["manage.py", command, ...args], {
      cwd: fileURLToPath(new URL(".", import.meta.url)),
      env: { ...process.env, PYTHONUNBUFFERED: "1" },
      signal: ctx.signal,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        ctx.log.info(line, { command });
        lines.push(line);
      });
    }
    const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
    if (code !== 0) throw new Error(`manage.py ${command} ended with ${code}: ${lines.at(-1) ?? "no output"}`);
    return { output: lines.slice(-20) };
  },
});

const zone = { timezone: "Europe/Berlin", task: manage };

export const schedules = [
  defineSchedule("flush mail", { ...zone, cron: "every 5 seconds", payload: { command: "flush_mail" } }),
  defineSchedule("minute report", {
    ...zone,
    cron: "* * * * *",
    payload: { command: "make_report", args: ["minute"] },
  }),
  defineSchedule("daily report", {
    ...zone,
    cron: "27 14 * * *",
    payload: { command: "make_report", args: ["daily"] },
  }),
  defineSchedule("nightly report", {
    ...zone,
    cron: "2 0 * * *",
    payload: { command: "make_report", args: ["nightly"] },
  }),
  defineSchedule("monthly report", {
    ...zone,
    cron: "13 8 1 * *",
    payload: { command: "make_report", args: ["monthly"] },
    catchUp: "all",
  }),
  // What `manage.py clearsessions` does, without starting Python for it.
  defineSchedule("purge sessions", {
    cron: "@hourly",
    command: "delete from django_session where expire_date < now()",
  }),
];
