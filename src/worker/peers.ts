export interface Peer {
  readonly id: number;
  readonly beats: number;
}

interface Seen {
  readonly beats: number;
  /** For how long it has been seen to stand still. */
  stoodMs: number;
}

/**
 * The beat counters of the other workers, and for how long each was seen to stand still, on this process's monotonic
 * clock: so no jump of any clock makes a suspect. Only time in which this process looked counts. While it was frozen or had no
 * connection others may have had none either; and what it saw before counts on, so that a server that starts anew all the
 * time puts off no rescue for ever.
 */
export class Peers {
  readonly #seen = new Map<number, Seen>();
  #patienceMs = Infinity;
  #longestMs = 0;
  #lookedAt: number | undefined;

  /**
   * @param patienceMs How long a counter may stand still.
   * @param longestMs What counts at most of the time between two looks.
   */
  observe(peers: readonly Peer[], now: number, patienceMs: number, longestMs: number): void {
    const passed = this.#passed(now);
    this.#lookedAt = now;
    this.#patienceMs = patienceMs;
    this.#longestMs = longestMs;
    const ids = new Set(peers.map(({ id }) => id));
    for (const id of this.#seen.keys()) if (!ids.has(id)) this.#seen.delete(id);
    for (const { id, beats } of peers) {
      const seen = this.#seen.get(id);
      if (seen?.beats === beats) seen.stoodMs += passed;
      else this.#seen.set(id, { beats, stoodMs: 0 });
    }
  }

  /** Those whose counter has stood still for too long. */
  suspects(now: number): Peer[] {
    const passed = this.#passed(now);
    return [...this.#seen]
      .filter(([, { stoodMs }]) => stoodMs + passed >= this.#patienceMs)
      .map(([id, { beats }]) => ({ id, beats }));
  }

  /** Sees nothing from now on until the next look. */
  lookAway(): void {
    this.#lookedAt = undefined;
  }

  #passed(now: number): number {
    return this.#lookedAt === undefined ? 0 : Math.min(now - this.#lookedAt, this.#longestMs);
  }
}
