/** A worker process of the chaos run: each handler writes to a journal, a file, when it begins and when it ends. */
import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { createLogger, createRouse, defineTask, type JobInfo, PermanentError } from "../../src/index.ts";
import { now } from "./clock.ts";
import { RATE, SLOTS } from "./limits.ts";

export interface WorkerSettings {
  readonly url: string;
  readonly name: string;
  /** Of the files, without their ends `.journal` and `.log`. */
  readonly file: string;
}

let stop = (): void => process.exit(0);
process.on("SIGTERM", () => stop());
const { url, name, file } = JSON.parse(process.argv[2]!) as WorkerSettings;
const journal = openSync(`${file}.journal`, "a");
const logFile = openSync(`${file}.log`, "a");
const write = (line: string) => writeSync(journal, `${line}\n`);
let runs = 0;

/** What is written to a file is safe from kill -9; so is the order of begin, work and end. */
async function journaled(job: JobInfo, n: number | undefined, work: (run: string) => Promise<unknown>) {
  const run = `${name}/${++runs}`;
  write(`begin ${run} ${job.id} ${n ?? ""} ${job.attempt} ${now()} ${Date.now()}`);
  try {
    await work(run);
    write(`end ${run} ok ${now()}`);
    return { run };
  } catch (error) {
    write(`end ${run} failed ${now()}`);
    throw error;
  }
}

const payload = z.object({ n: z.number(), ms: z.number().default(0), fails: z.number().default(0) });
/** Attempts that are lost with their workers count, so there are many. */
const retry = { maxAttempts: 200, backoff: "fixed", base: 100 } as const;
const options = { payload, retry, keep: { succeeded: "7 days", failed: "7 days" } } as const;

const tasks = [
  defineTask("quick", { ...options, run: ({ n }, ctx) => journaled(ctx.job, n, async () => {}) }),
  defineTask("rated", { ...options, limit: RATE, run: ({ n }, ctx) => journaled(ctx.job, n, async () => {}) }),
  defineTask("slow", {
    ...options,
    run: ({ n, ms }, ctx) =>
      journaled(ctx.job, n, async () => {
        ctx.progress(0.5);
        await sleep(ms, undefined, { signal: ctx.signal });
      }),
  }),
  defineTask("batched", {
    ...options,
    batch: { size: 20, wait: 50 },
    run: (payloads, { jobs }) =>
      Promise.allSettled(payloads.map(({ n }, index) => journaled(jobs[index]!, n, async () => {}))),
  }),
  defineTask("computing", {
    ...options,
    run: ({ n, ms }, ctx) =>
      journaled(ctx.job, n, async () => {
        for (const end = now() + ms; now() < end; );
      }),
  }),
  defineTask("effect", {
    ...options,
    // A handler's own query may wait for as long as it likes, also on a connection that swallows everything.
    timeout: "20s",
    run: async ({ n, ms }, ctx) =>
      await journaled(ctx.job, n, (run) =>
        ctx.transaction(async (client) => {
          await client.query("insert into ledger.effect (n, run) values ($1, $2)", [n, run]);
          if (ms > 0) await sleep(ms, undefined, { signal: ctx.signal });
          return { run };
        }),
      ),
  }),
  defineTask("flaky", {
    ...options,
    run: ({ n, fails }, ctx) =>
      journaled(ctx.job, n, async () => {
        if (ctx.job.attempt <= fails) throw new Error(`fails in attempts 1 to ${fails}`);
      }),
  }),
  defineTask("doomed", {
    ...options,
    run: ({ n }, ctx) => journaled(ctx.job, n, () => Promise.reject(new PermanentError("no use"))),
  }),
  defineTask("slot", {
    retry,
    keep: { succeeded: "7 days" },
    run: (_payload, ctx) => journaled(ctx.job, undefined, async () => {}),
  }),
];

const log = createLogger({ format: "text", write: (line) => writeSync(logFile, `${Math.round(now())} ${line}\n`) });
const rouse = createRouse({ connectionString: url, tasks, log });
const slots = name.startsWith(`${SLOTS.post}.`)
  ? { queues: { [SLOTS.queue]: SLOTS.slots, "*": SLOTS.others } }
  : { concurrency: SLOTS.slots + SLOTS.others };
let stopping = false;
stop = () => {
  stopping = true;
  void rouse.close().then(() => process.exit(0));
};

// A worker does not start without its database; whoever runs it tries again, here as anywhere.
while (!stopping) {
  try {
    await rouse.startWorker({ name, ...slots, grace: "4s" });
    break;
  } catch (error) {
    log.warn("the worker did not start", { error: (error as Error).message });
    await sleep(300);
  }
}
