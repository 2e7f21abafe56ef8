import { outOfPatience } from "./patience.ts";

/** How long a worker waits to hear its own probe before it takes its listener for dead. */
const PROBE_TIMEOUT_MS = 3_000;

/**
 * Each beat sends a probe over the channel. It may be heard before the thread has told of the beat, or a little after;
 * not at all means that the listener's connection only looks alive.
 */
export class Probe {
  readonly #onUnheard: () => void;
  #heardAt = -Infinity;
  #end: (() => void) | undefined;

  constructor(onUnheard: () => void) {
    this.#onUnheard = onUnheard;
  }

  sent(): void {
    if (performance.now() - this.#heardAt < PROBE_TIMEOUT_MS / 2) return;
    this.#end ??= outOfPatience(PROBE_TIMEOUT_MS, () => {
      this.#end = undefined;
      this.#onUnheard();
    });
  }

  heard(): void {
    this.#heardAt = performance.now();
    this.clear();
  }

  /** Waits for none any more. */
  clear(): void {
    this.#end?.();
    this.#end = undefined;
  }
}
