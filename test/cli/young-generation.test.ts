import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { keepYoungGenerationSmall, youngBytes } from "../../src/cli/worker/young-generation.ts";

const MEGABYTE = 1024 * 1024;

test("memory: the young generation of a worker process grows no further than it is let", async () => {
  keepYoungGenerationSmall(4 * MEGABYTE);
  let alive: unknown[] = [];
  let largest = 0;
  for (let n = 0; n < 100; n += 1) {
    alive = [...alive.slice(-20_000), ...Array.from({ length: 10_000 }, (_, each) => ({ n: each }))];
    await turn();
    largest = Math.max(largest, youngBytes());
  }
  assert.ok(alive.length > 0);
  assert.ok(largest >= 4 * MEGABYTE, `${largest} bytes: it never had to be kept small`);
  assert.ok(largest <= 8 * MEGABYTE, `${largest} bytes`);
});
