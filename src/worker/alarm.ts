/** Longest wait that setTimeout counts; beyond 24.8 days it would fire at once. */
const LONGEST_WAIT_MS = 2_147_000_000;

/** One timer that is set anew rather than added to, for any wait. */
export class Alarm {
  #timer: NodeJS.Timeout | undefined;
  #at = Infinity;
  readonly #ring: () => void;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings once after that time, and no longer at the time set before. */
  set(waitMs: number): void {
    this.clear();
    this.#at = performance.now() + waitMs;
    const wait = Math.min(Math.max(waitMs, 0), LONGEST_WAIT_MS);
    this.#timer = setTimeout(() => {
      if (waitMs > wait) {
        this.set(waitMs - wait);
      } else {
        this.clear();
        this.#ring();
      }
    }, wait);
  }

  /** Rings after that time, unless it rings sooner anyway. */
  advance(waitMs: number): void {
    if (performance.now() + waitMs < this.#at) this.set(waitMs);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#at = Infinity;
  }
}
