/**
 * How far this process has heard: a mark, before which nothing is missing, and the ids that were delivered since. They are
 * kept for two marks, since a message may be committed between a mark's snapshot and its commit.
 */
export class Position {
  #mark: number | undefined;
  #before = new Set<number>();
  #since = new Set<number>();

  /** The last mark; undefined: none was reached yet. */
  get mark(): number | undefined {
    return this.#mark;
  }

  reach(mark: number): void {
    this.#mark = Math.max(mark, this.#mark ?? 0);
    this.#before = this.#since;
    this.#since = new Set();
  }

  knows(id: number): boolean {
    return this.#since.has(id) || this.#before.has(id);
  }

  deliver(id: number): void {
    this.#since.add(id);
  }
}
