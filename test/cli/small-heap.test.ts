import assert from "node:assert/strict";
import { constants, type NodeGCPerformanceDetail, type PerformanceEntry, PerformanceObserver } from "node:perf_hooks";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { keepHeapSmall, spaceSize } from "../../src/cli/worker/small-heap.ts";

const MEGABYTE = 1024 * 1024;
const before = spaceSize("old_space");
keepHeapSmall(4 * MEGABYTE);

/** Makes objects of which the last 20,000 are alive, and tells how large a space of the heap became. */
async function largest(space: string, objects: number): Promise<number> {
  let alive: unknown[] = [];
  let bytes = 0;
  for (let n = 0; n < objects; n += 10_000) {
    alive = [...alive.slice(-20_000), ...Array.from({ length: 10_000 }, (_, each) => ({ n: each }))];
    await turn();
    bytes = Math.max(bytes, spaceSize(space));
  }
  assert.ok(alive.length > 0);
  return bytes;
}

test("memory: the young generation of a worker process grows no further than it is let", async () => {
  const bytes = await largest("new_space", 1_000_000);
  assert.ok(bytes >= 4 * MEGABYTE, `${bytes} bytes: it never had to be kept small`);
  assert.ok(bytes <= 8 * MEGABYTE, `${bytes} bytes`);
});

test("memory: nor is the old one full of what is no longer used", async () => {
  const bytes = await largest("old_space", 5_000_000);
  assert.ok(bytes <= before + 14 * MEGABYTE, `${bytes} bytes, ${before} before`);
});

test("memory: a heap in which handlers keep much is left to Node", async () => {
  let collections = 0;
  new PerformanceObserver((list) => {
    const kinds = list
      .getEntries()
      .map((entry) => (entry as PerformanceEntry & { detail: NodeGCPerformanceDetail }).detail.kind);
    collections += kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MAJOR).length;
  }).observe({ entryTypes: ["gc"] });
  const kept = Array.from({ length: 1_500_000 }, (_, n) => ({ n, text: `${n}` }));
  await largest("old_space", 100_000);
  collections = 0;
  await largest("old_space", 10_000_000);
  assert.equal(kept.length, 1_500_000);
  // Left to Node two; eleven where it was collected after each fifth that it grew.
  assert.ok(collections <= 5, `${collections} collections`);
});
