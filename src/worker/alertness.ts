/** How long a worker has work without a break before it says that it need not be woken. Under a light load it never does. */
const AWAKE_AFTER_MS = 1_000;

/**
 * Whether jobs have to be told to this worker. The database takes it for asleep as soon as a look for jobs left slots
 * free; that it is awake the worker says itself, and late: each change costs those who enqueue more than some
 * notifications in vain.
 */
export class Alertness {
  readonly #tell: () => Promise<unknown>;
  #timer: NodeJS.Timeout | undefined;
  #awake = false;

  /** @param tell Says that the worker is awake. From then on nobody tells of jobs, so it looks for them afterwards. */
  constructor(tell: () => Promise<unknown>) {
    this.#tell = tell;
  }

  /** All slots are taken, as far as a look for jobs could tell. */
  busy(): void {
    if (this.#awake || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#awake = true;
      void this.#tell();
    }, AWAKE_AFTER_MS);
  }

  /** A look for jobs left slots free. */
  asleep(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#awake = false;
  }
}
