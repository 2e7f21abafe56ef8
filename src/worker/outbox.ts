import type { Logger } from "../log.ts";
import type { Ending, Finished } from "./finished.ts";
import { remove } from "./remove.ts";

/**
 * Waits before trying again to finish a job whose row another transaction holds, each five times as long as the last. Mostly
 * that is the claim itself, not yet visible to the snapshot of a finish that comes right after it: 0.2 to 4 % of all under load.
 */
const BUSY_MS = { first: 10, longest: 250 };

export interface OutboxOptions {
  /** Most ends in a batch. */
  readonly most: number;
  readonly log: Logger;
  /** There is something to send. */
  readonly onReady: () => void;
}

/** A batch to send; `single` where its one end was refused in the company of others. */
export interface Batch {
  readonly ends: Finished[];
  readonly single: boolean;
}

/** Ends of attempts, from when they are known to when the database has confirmed them. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #sent: (readonly Finished[])[] = [];
  readonly #resent = new WeakSet<Finished>();
  readonly #unsettled: Ending[] = [];
  #ready: Finished[] = [];
  #singly: Finished[] = [];
  #busy: Finished[] = [];
  #busyTimer: NodeJS.Timeout | undefined;
  #busyMs = BUSY_MS.first;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    const waiting = this.#unsettled.length + this.#ready.length + this.#singly.length + this.#busy.length;
    return waiting + this.#sent.length === 0;
  }

  all(): Ending[] {
    return [...this.#sent.flat(), ...this.#singly, ...this.#ready, ...this.#busy, ...this.#unsettled];
  }

  add(ending: Ending): void {
    if (isSettled(ending)) {
      this.#push(ending);
      return;
    }
    this.#unsettled.push(ending);
    void Promise.resolve(ending.note).then((note) => {
      if (remove(this.#unsettled, ending)) this.#push({ ...ending, note });
    });
  }

  #push(end: Finished): void {
    this.#ready.push(end);
    this.#options.onReady();
  }

  /** What to send next; no ends where there is nothing. The caller says what became of them. */
  next(): Batch {
    const single = this.#singly.length > 0;
    const ends = single ? this.#singly.splice(0, 1) : this.#ready.splice(0, this.#options.most);
    if (ends.length > 0) this.#sent.push(ends);
    return { ends, single };
  }

  /** They got there, but for those whose rows another transaction holds: these go again after a while. */
  told(ends: readonly Finished[], busy: ReadonlySet<number>): void {
    remove(this.#sent, ends);
    if (busy.size === 0) {
      if (this.#busy.length === 0) this.#busyMs = BUSY_MS.first;
      return;
    }
    this.#busy.push(...ends.filter(({ job }) => busy.has(job.id)));
    if (this.#busyTimer !== undefined) return;
    this.#busyTimer = setTimeout(() => {
      this.#busyTimer = undefined;
      this.#ready.push(...this.#busy.splice(0));
      this.#options.onReady();
    }, this.#busyMs);
    this.#busyMs = Math.min(this.#busyMs * 5, BUSY_MS.longest);
  }

  /** Nobody knows whether they got there: they go again. */
  untold(ends: readonly Finished[]): void {
    if (!remove(this.#sent, ends)) return;
    for (const end of ends) this.#resent.add(end);
    this.#ready.unshift(...ends);
  }

  /** Whether it may have been told already. */
  wasSentBefore(end: Finished): boolean {
    return this.#resent.has(end);
  }

  /**
   * The server took none of them, for something in one. Each goes on its own, so that one bad value spoils nothing else;
   * what is refused even so goes in a milder form.
   */
  refused(ends: readonly Finished[], error: Error): void {
    if (!remove(this.#sent, ends)) return;
    if (ends.length > 1) {
      this.#singly.push(...ends);
      return;
    }
    const end = ends[0]!;
    const { id: job, task } = end.job;
    this.#options.log.error("the database refused how an attempt ended", { job, task, end: end.kind, error });
    const milder = milderThan(end, error);
    if (milder !== undefined) this.#singly.push(milder);
  }

  clear(): void {
    clearTimeout(this.#busyTimer);
    this.#unsettled.length = 0;
    this.#sent.length = 0;
    this.#ready = [];
    this.#singly = [];
    this.#busy = [];
  }
}

function isSettled(ending: Ending): ending is Finished {
  return !(ending.note instanceof Promise);
}

/** What was done is done, even if what was returned cannot be kept; what failed has failed, even if why cannot be said. */
function milderThan(end: Finished, refusal: Error): Finished | undefined {
  const { job } = end;
  const message = `how it ended could not be recorded: ${refusal.message}`;
  if (end.kind === "completed") {
    return end.result !== undefined
      ? { kind: "completed", job, result: undefined }
      : { kind: "failed", job, failure: { error: { message } } };
  }
  if (end.kind === "failed" && end.failure.error.message !== message) {
    return { kind: "failed", job, failure: { error: { message } } };
  }
  return end.kind === "released" ? undefined : { kind: "released", job };
}
