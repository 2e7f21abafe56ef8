/**
 * A worker alone in its process, without the rest of the bench and without what Node needs for TypeScript, as `memory`
 * weighs it. Forked with the queue, the address and the jobs to expect.
 */
import { weigh } from "./weigh.mjs";

const [queue, connectionString, jobs] = process.argv.slice(2);
const run = weigh(jobs);

if (queue === "rouse") {
  const { createLogger, createRouse, defineTask } = await import("../../dist/index.js");
  const { z } = await import("zod");
  const task = defineTask("noop", { payload: z.object({ n: z.number() }), run });
  await createRouse({ connectionString, tasks: [task], log: createLogger({ level: "warn" }) }).startWorker();
} else {
  const { Logger, run: work } = await import("graphile-worker");
  const worker = { ...JSON.parse(queue), connectionString, logger: new Logger(() => () => {}) };
  await work({ preset: { worker }, taskList: { noop: run }, noHandleSignals: true });
}
