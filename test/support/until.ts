import { setTimeout as sleep } from "node:timers/promises";

type Options = {
  /** In milliseconds. Default 60,000: generous, because only a failing test ever waits that long. */
  timeout?: number;
  /** What is waited for, as in "the job is archived". */
  message: string;
};

/**
 * Waits until the condition gives something truthy, and returns that. Only for what cannot be awaited as an event, such
 * as what another process leaves behind.
 */
export async function until<T>(condition: () => T | Promise<T>, { timeout = 60_000, message }: Options): Promise<T> {
  for (const giveUp = Date.now() + timeout; ; ) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > giveUp)
      throw new Error(`Waited ${timeout} ms in vain until ${message}; last saw ${String(value)}.`);
    await sleep(10);
  }
}
