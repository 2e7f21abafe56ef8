export interface Peer {
  readonly id: number;
  readonly beats: number;
}

/**
 * The beat counters of the other workers, and since when, on this process's monotonic clock, each stands still: so no
 * jump of any clock makes a suspect.
 */
export class Peers {
  readonly #seen = new Map<number, { beats: number; since: number }>();
  #patienceMs = Infinity;

  /** @param patienceMs How long a counter may stand still. */
  observe(peers: readonly Peer[], now: number, patienceMs: number): void {
    this.#patienceMs = patienceMs;
    const ids = new Set(peers.map(({ id }) => id));
    for (const id of this.#seen.keys()) if (!ids.has(id)) this.#seen.delete(id);
    for (const { id, beats } of peers) {
      if (this.#seen.get(id)?.beats !== beats) this.#seen.set(id, { beats, since: now });
    }
  }

  /** Those whose counter has stood still for too long. */
  suspects(now: number): Peer[] {
    return [...this.#seen]
      .filter(([, { since }]) => now - since >= this.#patienceMs)
      .map(([id, { beats }]) => ({ id, beats }));
  }

  forget(): void {
    this.#seen.clear();
  }
}
