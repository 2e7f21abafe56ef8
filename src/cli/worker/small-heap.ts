import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from "node:v8";

const MEGABYTE = 1024 * 1024;

/** Most of the young generation, free or not; half of what Node 20 and 22 let it become. */
const YOUNG_BYTES = 16 * MEGABYTE;
/** By how much the rest may grow before it is collected. */
const GROWTH_PERCENT = 20;
/** A heap with more in use is that of handlers who need it: to collect it so often would cost them more than it spares. */
const OWN_BYTES = 64 * MEGABYTE;

/**
 * Keeps the heap of this process small. Node 24 lets the young generation grow to 128 MB where much is allocated, and a
 * worker that drains a queue fills it with jobs long done; the old one doubles before it is collected. With both 240 MB of
 * a process in which 13 MB are alive, without 134. V8 takes the largest sizes only when it starts, but heeds at any time
 * by how much they grow.
 *
 * For a process of our own: an application that starts a worker has its own settings, and so has who gave one to Node.
 */
export function keepHeapSmall(youngBytes = YOUNG_BYTES): void {
  const given = `${process.env.NODE_OPTIONS ?? ""} ${process.execArgv.join(" ")}`;
  if (/semi[-_]space|heap[-_]growing/.test(given)) return;
  let flags = "";
  const adjust = () => {
    const young = spaceSize("new_space") < youngBytes ? 2 : 1;
    const old = getHeapStatistics().used_heap_size < OWN_BYTES ? GROWTH_PERCENT : 0;
    const adjusted = `--semi-space-growth-factor=${young} --heap-growing-percent=${old}`;
    if (adjusted === flags) return;
    flags = adjusted;
    for (const flag of flags.split(" ")) setFlagsFromString(flag);
  };
  adjust();
  new PerformanceObserver(adjust).observe({ entryTypes: ["gc"] });
}

/** Bytes of a space of the heap, free or not. */
export function spaceSize(space: string): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === space)?.space_size ?? 0;
}
