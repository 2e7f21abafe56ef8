/** What may be read at once after the event loop was blocked. */
const AFTER_A_BLOCK_MS = 1_000;
/** Lateness of a timer that says the event loop was blocked. */
const BLOCKED_MS = 250;

/**
 * Calls back when something from a socket has not come for that long. Where a handler blocked the event loop meanwhile,
 * timers are served before sockets: what has long arrived gets its chance to be read first.
 *
 * @returns what ends the wait.
 */
export function outOfPatience(ms: number, give: () => void): () => void {
  let due = performance.now() + ms;
  const over = () => {
    const late = performance.now() - due;
    if (late < BLOCKED_MS) {
      give();
    } else {
      due = performance.now() + AFTER_A_BLOCK_MS;
      timer = setTimeout(over, AFTER_A_BLOCK_MS);
    }
  };
  let timer = setTimeout(over, ms);
  return () => clearTimeout(timer);
}
