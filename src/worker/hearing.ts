import type { Logger } from "../log.ts";
import { Probe } from "./probe.ts";
import type { Ears, SharedListener } from "./shared-listener.ts";

/** Between two looks for jobs of a worker that hears nothing. */
const LOOK_EVERY_MS = 1_000;

export interface HearingOptions {
  readonly listener: SharedListener;
  /** The id of the worker's row. */
  readonly worker: () => number;
  /** Notifications come from now on; what was told before may have been missed. */
  readonly onListening: () => void;
  /** There may be jobs of that queue, or of any. */
  readonly onJobs: (queue: string | undefined) => void;
  /** A job that this worker runs was cancelled. */
  readonly onCancel: () => void;
  /** Notifications come through the pooler, so its sessions last and a lock would too. */
  readonly onLasting: () => void;
  /** Nothing will ever be heard: jobs are looked for from now on. */
  readonly onDeaf: () => void;
  readonly look: () => void;
  readonly log: Logger;
}

/**
 * What this worker hears of notifications, and whether it hears: each beat sends a probe over the channel. Behind a pooler in
 * transaction mode a LISTEN succeeds and nothing ever comes of it; then jobs are looked for every second.
 */
export class Hearing {
  readonly #options: HearingOptions;
  readonly #ears: Ears;
  readonly #probe = new Probe(() => this.#unheard());
  #pooled = false;
  #heardEver = false;
  #looking: NodeJS.Timeout | undefined;

  constructor(options: HearingOptions) {
    this.#options = options;
    this.#ears = {
      onListening: () => {
        // Those that are awaited were for the connection before.
        this.#probe.clear();
        options.onListening();
      },
      onHint: (hint) => this.#heard(hint),
    };
  }

  get deaf(): boolean {
    return this.#looking !== undefined;
  }

  /** Resolves when listening, or when the first try has failed. */
  async open(): Promise<void> {
    await this.#options.listener.open(this.#ears);
  }

  /** A beat has sent a probe. */
  sent(pooled: boolean): void {
    if (!this.#options.listener.listening) return;
    this.#pooled = pooled;
    if (!this.deaf) this.#probe.sent();
  }

  async close(): Promise<void> {
    this.#probe.clear();
    clearInterval(this.#looking);
    await this.#options.listener.close(this.#ears);
  }

  #heard(hint: Readonly<Record<string, unknown>>): void {
    const { worker, onJobs, onCancel } = this.#options;
    if (hint.probe !== undefined) {
      if (hint.probe === worker()) this.#heardProbe();
      return;
    }
    // Told to others, who await results or listen to a topic.
    if (["ended", "progress", "topic", "mark"].some((kind) => hint[kind] !== undefined)) return;
    if (hint.cancel !== undefined) {
      if (hint.cancel === worker()) onCancel();
      return;
    }
    onJobs(typeof hint.queue === "string" ? hint.queue : undefined);
  }

  #heardProbe(): void {
    this.#heardEver = true;
    this.#probe.heard();
    if (this.#pooled) this.#options.onLasting();
  }

  #unheard(): void {
    const { listener, log, onDeaf, look } = this.#options;
    if (!this.#pooled || this.#heardEver) {
      listener.restart("it heard nothing of the last beat");
      return;
    }
    log.warn(
      "no notification comes through the pooler that this address leads to: looking for jobs every second, and others will notice the death of this worker only after the lease; give the server's own address too (directConnectionString, ROUSE_DIRECT_URL)",
    );
    this.#looking = setInterval(look, LOOK_EVERY_MS);
    void listener.close(this.#ears);
    onDeaf();
  }
}
