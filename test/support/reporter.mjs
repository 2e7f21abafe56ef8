import { resolve } from "node:path";
import { spec } from "node:test/reporters";

/**
 * Quiet when all is well: a dot a test, then the closing lines as node's runner writes them. Of a file that fails, its
 * output and its failures in full. No test at all, in a file or altogether, is a failure, which it is not for the runner.
 *
 * JavaScript, because the runner loads its reporter before tsx.
 *
 * @param {AsyncIterable<import("node:test/reporters").TestEvent>} events
 * @returns {AsyncGenerator<string>}
 */
export default async function* report(events) {
  const failures = new spec();
  const output = new Map();
  const failed = new Set();
  const empty = [];
  const closing = [];
  let ran = 0;
  for await (const event of events) {
    const { type, data } = event;
    if (type === "test:stdout" || type === "test:stderr") {
      output.set(data.file, (output.get(data.file) ?? "") + data.message);
    } else if (type === "test:fail") {
      failures.write(event);
      // It writes each failure at once and again in the end; the end has the file's name.
      failures.read();
      if (data.file) failed.add(data.file);
      yield "X";
    } else if (type === "test:pass" && data.details.type !== "suite") {
      if (data.file && resolve(data.name) === data.file) empty.push(data.file);
      else if (data.skip === undefined) ran++;
      yield ".";
    } else if (type === "test:diagnostic" && data.nesting === 0) {
      closing.push(`# ${data.message}\n`);
    }
  }
  yield "\n";
  for (const file of failed) {
    if (output.has(file)) yield `\nOutput of ${file}:\n${output.get(file)}\n`;
  }
  if (failed.size > 0) yield* failures.end();
  const filtered = process.execArgv.some((argument) => /^--test-(name-pattern|only)/.test(argument));
  if (!filtered) yield* empty.map((file) => `${file} holds no test.\n`);
  if (ran === 0) yield "No test ran.\n";
  if (failed.size > 0 || ran === 0 || (!filtered && empty.length > 0)) process.exitCode = 1;
  yield* closing;
}
