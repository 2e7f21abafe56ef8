import type { Logger } from "../log.ts";
import { Probe } from "./probe.ts";

/** Between two looks for jobs of a worker that hears nothing. */
const LOOK_EVERY_MS = 1_000;

export interface HearingOptions {
  readonly log: Logger;
  /** The listener's connection looks alive and is not. */
  readonly onDead: () => void;
  /** Notifications come through the pooler, so its sessions last and a lock would too. */
  readonly onLasting: () => void;
  /** Nothing will ever be heard: jobs are looked for from now on. */
  readonly onDeaf: () => void;
  readonly look: () => void;
}

/**
 * Whether this worker hears notifications: each beat sends a probe over the channel. Behind a pooler in transaction mode
 * a LISTEN succeeds and nothing ever comes of it; then jobs are looked for every second.
 */
export class Hearing {
  readonly #options: HearingOptions;
  readonly #probe = new Probe(() => this.#unheard());
  #pooled = false;
  #heardEver = false;
  #looking: NodeJS.Timeout | undefined;

  constructor(options: HearingOptions) {
    this.#options = options;
  }

  get deaf(): boolean {
    return this.#looking !== undefined;
  }

  /** A beat has sent a probe. */
  sent(pooled: boolean): void {
    this.#pooled = pooled;
    if (!this.deaf) this.#probe.sent();
  }

  /** The probe has come. */
  heard(): void {
    this.#heardEver = true;
    this.#probe.heard();
    if (this.#pooled) this.#options.onLasting();
  }

  /** Waits for no probe any more: there is a new connection. */
  clear(): void {
    this.#probe.clear();
  }

  close(): void {
    this.#probe.clear();
    clearInterval(this.#looking);
  }

  #unheard(): void {
    const { log, onDead, onDeaf, look } = this.#options;
    if (!this.#pooled || this.#heardEver) {
      onDead();
      return;
    }
    log.warn(
      "no notification comes through the pooler that this address leads to: looking for jobs every second, and others will notice the death of this worker only after the lease; give the server's own address too (directConnectionString, ROUSE_DIRECT_URL)",
    );
    this.#looking = setInterval(look, LOOK_EVERY_MS);
    onDeaf();
  }
}
