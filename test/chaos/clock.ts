/** Milliseconds on the machine's monotonic clock, the same in all of its processes. */
export function now(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
