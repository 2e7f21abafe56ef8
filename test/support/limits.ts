/**
 * Loaded into the process of each test file: ends it where a test, or the file's end, does not come. Node's own limit is for
 * a file as a whole, and does not say what it waited for.
 */
import { after, afterEach, beforeEach } from "node:test";

const TEST_MS = 120_000;
/** From the end of the last test to the end of the process: what it takes to drop a database on a slow machine. */
const END_MS = 30_000;

// The runner loads what it has its files load.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  const limits = new Map<unknown, NodeJS.Timeout>();
  beforeEach((context) => {
    const name = "name" in context ? context.name : "a test";
    limits.set(context, endAfter(TEST_MS, `"${name}" still runs`));
  });
  afterEach((context) => clearTimeout(limits.get(context)));
  after(() => void endAfter(END_MS, "its tests have ended, but the process has not"));
}

function endAfter(ms: number, what: string): NodeJS.Timeout {
  const end = () => {
    const open = process.getActiveResourcesInfo().filter((resource) => resource !== "Timeout");
    console.error(`After ${ms / 1_000} s ${what}. Open: ${open.join(", ")}.`);
    process.exit(1);
  };
  return setTimeout(end, ms).unref();
}
