import assert from "node:assert/strict";
import { test } from "node:test";
import { rouse, rouseHere } from "./support.ts";

test("what is typed wrongly is named, with the nearest that exists, and exits with 2", async (t) => {
  const cases: [string[], RegExp][] = [
    [["wroker"], /there is no command wroker; did you mean rouse worker\?/],
    [["frobnicate"], /there is no command frobnicate \(rouse help lists the commands\)/],
    [["--watch"], /there is no option --watch before a command/],
    [["constructor"], /there is no command constructor/],
    [["help", "jbs"], /did you mean rouse jobs\?/],
    [["worker", "--concurency", "3"], /rouse worker has no option --concurency; did you mean --concurrency\?/],
    [["jobs", "-x"], /rouse jobs has no option -x/],
    [["worker", "--queues"], /--queues needs a value: --queues <a,b>/],
    [["enqueue", "a", "--queue", "--priority", "3"], /--queue needs a value: --queue <name>/],
    [["worker", "--once=yes"], /--once takes no value, and got "yes"/],
    [["worker", "--watch", "--once"], /--watch goes on until it is stopped: leave out --once/],
    [["enqueue"], /an argument is missing: rouse enqueue <task> \[payload\]/],
    [["enqueue", "a", "{}", "b"], /too many arguments: rouse enqueue <task> \[payload\]/],
    [["status", "now"], /too many arguments: rouse status/],
    [["retry", "one"], /the id of a job is "one", not a whole number from 1 to/],
    [["jobs", "--limit", "0"], /--limit is "0", not a whole number from 1 to/],
    [["jobs", "--state", "faild"], /there is no state faild; did you mean failed\?/],
    [["migrate", "--shard", "512"], /--shard is "512", not a whole number from 0 to 511/],
    [["enqueue", "a", "{nope"], /the payload is not JSON: \{nope\n.*quote it for the shell/],
    [["enqueue", "a", "--priority", "high"], /--priority is "high", not a whole number/],
    [["enqueue", "a", "--max-attempts", "0"], /--max-attempts is "0", not a whole number from 1/],
    [["enqueue", "a", "--run-at", "infinity"], /--run-at is "infinity", not an instant such as/],
    [
      ["enqueue", "a", "--run-at", "2026-12-24 18:00 Europe/Viena"],
      /--run-at is "2026-12-24 18:00 Europe\/Viena", not/,
    ],
    [["enqueue", "a", "--run-at", "2026-02-30T00:00Z"], /--run-at is "2026-02-30T00:00Z", not an instant/],
  ];
  for (const [args, message] of cases) {
    await t.test(`rouse ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await rouseHere(args);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n\s+at /, "no stack");
      assert.deepEqual([code, stdout], [2, ""]);
    });
  }
});

test("help names the commands; of one, its options and settings", async (t) => {
  const cases: [string[], RegExp][] = [
    [[], /rouse <command>[\s\S]*migrate {2,}install Rouse/],
    [["help"], /worker {2,}run jobs/],
    [["--help"], /worker {2,}run jobs/],
    [
      ["help", "worker"],
      /Usage: rouse worker \[file, folder or glob …\] \[options\][\s\S]*--once .*[\s\S]*ROUSE_CONCURRENCY/,
    ],
    [["enqueue", "--help"], /Usage: rouse enqueue <task> \[payload\] \[options\]/],
    [["worker", "-h"], /Usage: rouse worker/],
  ];
  for (const [args, message] of cases) {
    await t.test(`rouse ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await rouseHere(args);
      assert.match(stdout, message);
      assert.deepEqual([code, stderr], [0, ""]);
    });
  }
});

test("what was asked for goes to stdout, complaints to stderr", async () => {
  const [version, wrong] = await Promise.all([rouse(["--version"]), rouse(["wroker"])]);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  assert.deepEqual([version.code, version.stderr], [0, ""]);
  assert.match(wrong.stderr, /^rouse: there is no command wroker/);
  assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
});
