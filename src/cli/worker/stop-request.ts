import { constants } from "node:os";
import type { Logger } from "../../log.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Whatever asks a worker process to end: a signal, a failure that nobody caught, the end of the process that watches it.
 * The first asks for a graceful stop, a second signal ends the process at once.
 */
export class StopRequest {
  /** Resolves when the process should stop. */
  readonly requested: Promise<void>;
  /** With which code to exit after stopping. */
  exitCode = 0;
  readonly #log: Logger;
  #signalled = false;
  #resolve!: () => void;

  constructor(log: Logger) {
    this.#log = log;
    this.requested = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  request(): void {
    this.#resolve();
  }

  /** Heeds the process's signals and failures from now on. @param running Tells how many handlers run. */
  listen(running: () => number): void {
    for (const signal of SIGNALS) process.on(signal, () => this.#receive(signal, running()));
    process.on("uncaughtException", (error) => {
      this.#log.error("an error that nobody caught; stopping", { error });
      this.exitCode = 1;
      this.request();
    });
    // Mostly a handler that forgot an await: its own job succeeds or fails as it does, and no other has to suffer.
    process.on("unhandledRejection", (reason) => {
      const error = reason instanceof Error ? reason : new Error(`rejected with ${String(reason)}`);
      this.#log.error("a promise was rejected and nobody handled it", { error });
    });
  }

  #receive(signal: (typeof SIGNALS)[number], running: number): void {
    if (this.#signalled) {
      this.#log.warn(`${signal}: stopping now${running > 0 ? `; ${running} running jobs will run again` : ""}`);
      process.exit(128 + constants.signals[signal]);
    }
    this.#log.info(`${signal}: ${running > 0 ? `${running} running, again to stop now` : "stopping"}`);
    this.#signalled = true;
    this.request();
  }
}
