/** A worker process for tests that kill it: `fork`ed with its settings as JSON, it tells its parent what happens in it. */
import { writeFileSync } from "node:fs";
import { z } from "zod";
import { createRouse, defineTask, type JobContext } from "../../src/index.ts";
import type { ChildSettings, FromChild } from "./fork.ts";

const { url, concurrency } = JSON.parse(process.argv[2]!) as ChildSettings;
const tell = (message: FromChild) => process.send!(message);

/** Before a handler goes on, its parent knows that it runs. */
const begin = (ctx: JobContext) =>
  new Promise<void>((resolve, reject) => {
    process.send!({ began: ctx.job.id, attempt: ctx.job.attempt } satisfies FromChild, (error: Error | null) =>
      error ? reject(error) : resolve(),
    );
  });

const options = { retry: { backoff: "fixed", base: 0 } } as const;

const tasks = [
  defineTask("held", {
    ...options,
    run: async (_payload, ctx) => {
      await begin(ctx);
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
      tell({ aborted: ctx.job.id });
      return "late";
    },
  }),
  defineTask("computing", {
    ...options,
    payload: z.number(),
    run: async (ms, ctx) => {
      await begin(ctx);
      const end = performance.now() + ms;
      while (performance.now() < end);
      return "computed";
    },
  }),
  defineTask("exits", { ...options, run: (_payload, ctx) => begin(ctx).then(() => process.exit(3)) }),
  defineTask("unhandled", {
    ...options,
    run: async (_payload, ctx) => {
      await begin(ctx);
      void Promise.reject(new Error("nobody handles this"));
      await new Promise(() => {});
    },
  }),
  defineTask("uncaught", {
    ...options,
    run: async (_payload, ctx) => {
      await begin(ctx);
      setImmediate(() => {
        throw new Error("nobody catches this");
      });
      await new Promise(() => {});
    },
  }),
  defineTask("quick", { ...options, keep: { succeeded: 0 }, run: () => {} }),
];

const say = (message: string) => tell({ logged: message });
const rouse = createRouse({
  connectionString: url,
  tasks,
  log: { debug: () => {}, info: say, warn: say, error: say },
});
await rouse.startWorker({ concurrency });
process.on("uncaughtException", (error) => {
  // What node does anyway, without its many lines in the output of the test.
  writeFileSync(1, `child: ${error.message}\n`);
  process.exit(7);
});
tell({ ready: true });
