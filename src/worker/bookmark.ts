/**
 * Where the claims of a worker go on.
 *
 * Behind a transaction that stays open somewhere, vacuum removes nothing, and a look for jobs walks past all that has
 * finished since. Where the database says that this was far, it gives a bookmark, at which the next calls start. What
 * becomes ready behind it only a whole look sees, so one is made as often as the database asks for it, by one call at a time.
 */
export class Bookmark {
  #text = NONE;
  #dueAt = 0;
  #looking = false;
  #slept = false;

  /** How the next call that asks for jobs looks for them; `took` hears what was answered to it. */
  open(): { readonly text: string; readonly whole: boolean } {
    const whole = this.#text === NONE || (performance.now() >= this.#dueAt && !this.#looking && !this.#slept);
    this.#slept = false;
    this.#looking ||= whole;
    return { text: this.#text, whole };
  }

  /** What came of it: the new bookmark, if any, and after how long a whole look is due. */
  close(whole: boolean, answered: { readonly text: string; readonly waitMs: number | null } | undefined): void {
    if (whole) {
      this.#looking = false;
      this.#text = answered?.text ?? NONE;
      this.#dueAt = performance.now() + (answered?.waitMs ?? 0);
    } else if (answered !== undefined && this.#text !== NONE) {
      this.#text = answered.text;
    }
  }

  /** Milliseconds to the next whole look; Infinity while one is under way. */
  get dueInMs(): number {
    return this.#looking ? Infinity : Math.max(this.#dueAt - performance.now(), 0);
  }

  /** A whole look found that there is nothing to do. What comes then is mostly new: the first look goes on at the bookmark. */
  slept(): void {
    this.#slept = true;
  }
}

const NONE = "{}";
