import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** As large as Node 20 and 22 let it become. */
const MOST_BYTES = 32 * 1024 * 1024;

/**
 * Keeps the young generation of this process's heap small. Node 24 lets it grow to 128 MB where much is allocated, and a
 * worker that drains a queue fills it with jobs long done: 240 MB of a process in which 13 MB are alive. V8 takes its largest size
 * only when it starts, but heeds at any time by how much it grows.
 *
 * For a process of our own: an application that starts a worker has its own settings, and so has who gave one to Node.
 */
export function keepYoungGenerationSmall(most = MOST_BYTES): void {
  const given = `${process.env.NODE_OPTIONS ?? ""} ${process.execArgv.join(" ")}`;
  if (/semi[-_]space/.test(given)) return;
  let growing = true;
  new PerformanceObserver(() => {
    const small = youngBytes() < most;
    if (small === growing) return;
    growing = small;
    setFlagsFromString(`--semi-space-growth-factor=${growing ? 2 : 1}`);
  }).observe({ entryTypes: ["gc"] });
}

/** Size of the young generation, free or not. */
export function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space")?.space_size ?? 0;
}
