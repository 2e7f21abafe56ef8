/** A look that is due early waits for so many times what the last one took. */
const REST = 9;
/** How long after a look at the whole was due the bookmark is still good for a claim, if none was made. */
const STALE_AFTER_MS = 250;

/**
 * Where the claims of a worker go on.
 *
 * Behind a transaction that stays open somewhere, vacuum removes nothing, and a look for jobs walks past all that has
 * finished since. Where the database says that this was far, it gives a bookmark, at which the next calls start. What
 * becomes ready behind it only a look at the whole sees. It is made beside the calls, as often as the database asks for it,
 * one at a time.
 */
export class Bookmark {
  #text = NONE;
  #looks = 0;
  #looking = false;
  #beganAt = 0;
  #soonestAt = 0;
  #dueAt = 0;
  #staleAt = 0;

  /** How the next call that asks for jobs looks for them; `close` hears what was answered to it. */
  open(): Opened {
    const now = performance.now();
    const whole = this.#text === NONE || (now > this.#staleAt && !this.#looking);
    // What has come while it slept is mostly new.
    if (this.#staleAt === Infinity) this.#staleAt = now + STALE_AFTER_MS;
    if (whole) this.startLook();
    return { text: this.#text, whole, looks: this.#looks };
  }

  /** What came of it: the new bookmark, if any. A call that began before the last look knows less than that. */
  close({ whole, looks }: Opened, answered: Marked | undefined): void {
    if (whole) {
      this.#looked(answered ?? { text: NONE, waitMs: null });
    } else if (answered !== undefined) {
      if (looks === this.#looks) this.#text = answered.text;
      if (answered.waitMs === 0) this.#dueAt = Math.min(this.#dueAt, this.#soonestAt);
    }
  }

  /** Whether to look at the whole beside the calls. */
  get lookIsDue(): boolean {
    return this.#text !== NONE && !this.#looking && performance.now() >= this.#dueAt;
  }

  /** Such a look begins, with this text. */
  startLook(): string {
    this.#looking = true;
    this.#beganAt = performance.now();
    return this.#text;
  }

  /** What it found; undefined where it failed. */
  endLook(answered: Marked | undefined): void {
    this.#looked(answered ?? { text: this.#text, waitMs: STALE_AFTER_MS });
  }

  #looked({ text, waitMs }: Marked): void {
    this.#looking = false;
    this.#looks += 1;
    this.#text = text;
    const now = performance.now();
    this.#soonestAt = now + REST * (now - this.#beganAt);
    this.#dueAt = now + (waitMs ?? 0);
    this.#staleAt = this.#dueAt + STALE_AFTER_MS;
  }

  /** Milliseconds to the next look at the whole; Infinity while one is under way. */
  get dueInMs(): number {
    return this.#looking ? Infinity : Math.max(this.#dueAt - performance.now(), 0);
  }

  /** A look at the whole found that there is nothing to do. */
  slept(): void {
    this.#staleAt = Infinity;
  }
}

/** A bookmark as a call found it. */
export interface Opened {
  readonly text: string;
  readonly whole: boolean;
  /** Looks that had ended by then. */
  readonly looks: number;
}

/** A bookmark as the database gave it, and after how long a look at the whole is due; null: as was said before. */
export interface Marked {
  readonly text: string;
  readonly waitMs: number | null;
}

const NONE = "{}";
