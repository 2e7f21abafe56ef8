/**
 * Runs test files, many at a time, in the order in which they are given: those that take longest come first. The command
 * line of node's test runner would sort them by name.
 *
 *     node runner.js [--test-name-pattern=<pattern> …] <file> …
 */
import { setMaxListeners } from "node:events";
import { cpus } from "node:os";
import { run } from "node:test";
import { parseArgs } from "node:util";
import { report } from "./reporter.ts";

/** Most of a test's time goes by in waiting, for a beat or a schedule, so that several share a processor. */
const FILES_PER_CPU = 3;
/** For a file; that for a test is in limits.ts. */
const FILE_MS = 600_000;

const { values, positionals: files } = parseArgs({
  options: { "test-name-pattern": { type: "string", multiple: true, default: [] } },
  allowPositionals: true,
});
const testNamePatterns = values["test-name-pattern"];

// It stays to end what it has started.
const interruption = new AbortController();
setMaxListeners(0, interruption.signal);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interruption.abort());

const events = run({
  files,
  concurrency: FILES_PER_CPU * cpus().length,
  timeout: FILE_MS,
  signal: interruption.signal,
  ...(testNamePatterns.length > 0 && { testNamePatterns }),
});
for await (const text of report(events, testNamePatterns.length > 0)) process.stdout.write(text);
