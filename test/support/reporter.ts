import { resolve } from "node:path";
import { spec, type TestEvent } from "node:test/reporters";

/**
 * Quiet when all is well: a dot a test, then the closing lines as node's runner writes them. Of a file that fails, its
 * output and its failures in full. No test at all, in a file or altogether, is a failure, which it is not for the runner.
 *
 * @param filtered Whether tests were chosen by their names, so that a file may have none.
 */
export async function* report(events: AsyncIterable<TestEvent>, filtered: boolean): AsyncGenerator<string> {
  const failures = new spec();
  const output = new Map<string | undefined, string>();
  const failed = new Set<string>();
  const empty: string[] = [];
  const closing: string[] = [];
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
  if (!filtered) yield* empty.map((file) => `${file} holds no test.\n`);
  if (ran === 0) yield "No test ran.\n";
  if (failed.size > 0 || ran === 0 || (!filtered && empty.length > 0)) process.exitCode = 1;
  yield* closing;
}
