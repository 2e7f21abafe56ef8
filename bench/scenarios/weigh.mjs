/**
 * Samples the resident memory of this process every 50 ms, in MB, until it has run so many jobs; then sends the samples to the
 * process that forked it, and ends. Gives the handler that counts.
 */
export function weigh(jobs) {
  const samples = [];
  let left = Number(jobs);
  process.on("disconnect", () => process.exit(1));
  setInterval(() => samples.push(process.memoryUsage.rss() / 1e6), 50);
  return () => {
    left -= 1;
    if (left === 0) process.send(samples, () => process.exit(0));
  };
}
