import assert from "node:assert/strict";
import test from "node:test";
import { createLogger, type LogOptions } from "../src/index.ts";
import { withFields } from "../src/log.ts";

function lines(options: LogOptions) {
  const written: string[] = [];
  return { written, log: createLogger({ ...options, write: (line) => written.push(line) }) };
}

const cyclic: Record<string, unknown> = {};
cyclic.self = cyclic;

test("JSON lines hold the message and fields, which do not take the place of what every line has", () => {
  const { written, log } = lines({ format: "json" });
  log.info("hello", { job: 1, level: "x", message: "y", big: 1n, error: new Error("why") });
  const line = JSON.parse(written[0]!);
  assert.deepEqual([line.level, line.message, line.job, line.big], ["info", "hello", 1, "1"]);
  assert.match(line.error, /^Error: why\n/);
  assert.ok(!Number.isNaN(Date.parse(line.time)));
});

test("what cannot be written is said, in the place of the fields; a log never throws", () => {
  const json = lines({ format: "json" });
  json.log.warn("odd", { cyclic });
  assert.match(JSON.parse(json.written[0]!).fields, /cannot be written: .*circular/);
  const text = lines({ format: "text" });
  text.log.warn("odd", { cyclic, big: { n: 1n }, plain: "a", spaced: "a b", nothing: undefined });
  assert.match(text.written[0]!, /WARN odd {2}cyclic=\(cannot be written: .* big=\{"n":"1"\} plain=a spaced="a b"$/s);
});

test("only lines of the chosen level and above are written", () => {
  const { written, log } = lines({ format: "text", level: "warn" });
  for (const level of ["debug", "info", "warn", "error"] as const) log[level](level);
  assert.equal(written.length, 2);
});

test("fields of a logger come with each line, and a line's own come before them", () => {
  const { written, log } = lines({ format: "json" });
  withFields(log, { job: 1, task: "a" }).error("failed", { task: "b" });
  const { job, task, level } = JSON.parse(written[0]!);
  assert.deepEqual([job, task, level], [1, "b", "error"]);
});
