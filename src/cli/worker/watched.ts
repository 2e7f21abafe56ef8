/** The side of a worker process that `--watch` runs and restarts; without one nothing here does anything. */

/** Set for the process that is watched: any parent may have a channel to its child. */
export const WATCHED = "ROUSE_WATCHED";

/** What the watched process tells. */
export interface Report {
  /** Files that a change of would matter. */
  readonly files: readonly string[];
}

const isWatched = process.env[WATCHED] !== undefined && process.send !== undefined;

export function reportFiles(files: readonly string[]): void {
  // A watcher that is gone no longer cares.
  if (isWatched && process.connected) process.send!({ files } satisfies Report, () => {});
}

/** Calls back when the watching process lets this one go, for a restart, or is gone, however it ended. */
export function whenWatcherEnds(callback: () => void): void {
  if (!isWatched) return;
  if (process.connected) process.on("disconnect", callback);
  // It may have done so while this process was loading.
  else callback();
}
