/** Waits between tries to reach the database: from 100 ms, doubling to 5 s, each varied so that workers do not come in step. */
export class Backoff {
  attempts = 0;

  next(): number {
    const wait = Math.min(100 * 2 ** this.attempts, 5_000);
    this.attempts += 1;
    return wait * (0.5 + Math.random() / 2);
  }

  reset(): void {
    this.attempts = 0;
  }
}
