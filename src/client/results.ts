import { RouseError, StoppedError, TimeoutError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Duration, toMilliseconds } from "../tasks/duration.ts";
import { checkOptions } from "../tasks/options.ts";
import { Alarm } from "../worker/alarm.ts";
import type { SharedListener } from "../worker/shared-listener.ts";
import { type Ended, outcomeOf, readEnded } from "./ended.ts";
import type { Queryable } from "./queryable.ts";

export interface ResultOptions {
  /** How long to wait; default for ever. */
  readonly timeout?: Duration;
  /** Ends the wait, not the job. */
  readonly signal?: AbortSignal;
}

/** When to ask again of a job that had not ended: an end that was being written may have been missed, later a notification. */
const ASK_AGAIN_MS = [100, 1_000, 10_000] as const;
/** How long the listener stays when nothing is awaited any more. */
const LINGER_MS = 10_000;

/** Those who wait for one job. */
interface Awaited {
  asked: number;
  timer: NodeJS.Timeout | undefined;
  readonly settle: Set<(ended: Ended | Error) => void>;
}

/**
 * Waits for the ends of jobs. Any number of waits share the connection that listens, and one question to the database at a
 * time: a notification says which jobs to ask for, and since it may be lost each is asked for again now and then.
 */
export class Results {
  readonly #db: Queryable;
  readonly #schema: string;
  readonly #listener: SharedListener;
  readonly #log: Logger;
  readonly #awaited = new Map<number, Awaited>();
  readonly #linger = new Alarm(() => void this.#stopListening());
  readonly #ears = {
    // What ended before was not notified of.
    onListening: () => {
      for (const id of this.#awaited.keys()) this.#askFor(id);
    },
    onHint: ({ ended }: Readonly<Record<string, unknown>>) => {
      if (typeof ended === "number" && this.#awaited.has(ended)) this.#askFor(ended);
    },
  };
  #listening: Promise<void> | undefined;
  #ask = new Set<number>();
  #asking = false;
  #closed = false;

  constructor(db: Queryable, schema: string, listener: SharedListener, log: Logger) {
    this.#db = db;
    this.#schema = schema;
    this.#listener = listener;
    this.#log = log;
  }

  /** @throws JobError where the job ends without a result, TimeoutError, or the reason of the signal. */
  async wait(id: number, options: ResultOptions = {}): Promise<unknown> {
    checkOptions("result", options, ["timeout", "signal"]);
    const { timeout, signal } = options;
    const patience = timeout === undefined ? undefined : toMilliseconds(timeout, "timeout");
    signal?.throwIfAborted();
    if (this.#closed) throw new RouseError("this client was closed: nothing is awaited any more");

    const ended = await new Promise<Ended | Error>((resolve) => {
      const awaited = this.#awaited.get(id) ?? { asked: 0, timer: undefined, settle: new Set() };
      const abort = () => settle(signal!.reason);
      const alarm = new Alarm(() => settle(new TimeoutError(`job ${id} has not ended within ${patience} ms`)));
      const settle = (outcome: Ended | Error) => {
        alarm.clear();
        signal?.removeEventListener("abort", abort);
        awaited.settle.delete(settle);
        if (awaited.settle.size === 0) this.#forget(id);
        resolve(outcome);
      };
      awaited.settle.add(settle);
      this.#awaited.set(id, awaited);
      signal?.addEventListener("abort", abort, { once: true });
      if (patience !== undefined) alarm.set(patience);
      this.#linger.clear();
      this.#askFor(id);
      void this.#listen();
    });
    if (ended instanceof Error) throw ended;
    return outcomeOf(ended);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#settleAll(this.#awaited.keys(), new StoppedError("the client was closed while a result was awaited"));
    this.#linger.clear();
    await this.#stopListening();
  }

  /** Listens, if it does not yet. Asking now and then does without. */
  #listen(): Promise<void> {
    this.#listening ??= this.#startListening();
    return this.#listening;
  }

  async #startListening(): Promise<void> {
    try {
      const { rows } = await this.#db.query(`select ${this.#schema}.channel() as channel`);
      this.#listener.listenTo(rows[0]!.channel as string);
      if (!this.#closed) await this.#listener.open(this.#ears);
    } catch (error) {
      this.#listening = undefined;
      this.#log.debug("cannot listen for the ends of jobs", { error: (error as Error).message });
    }
  }

  async #stopListening(): Promise<void> {
    const listening = this.#listening;
    this.#listening = undefined;
    await listening;
    await this.#listener.close(this.#ears);
  }

  /** One turn of the event loop later, so that all that is awaited in this turn is asked for at once. */
  #askFor(id: number): void {
    if (this.#ask.size === 0) setImmediate(() => void this.#askNow());
    this.#ask.add(id);
  }

  async #askNow(): Promise<void> {
    if (this.#asking) return;
    const ids = [...this.#ask].filter((id) => this.#awaited.has(id));
    this.#ask = new Set();
    if (ids.length === 0) return;
    this.#asking = true;
    try {
      const { rows } = await this.#db.query(`select * from ${this.#schema}.await_v1($1)`, [ids]);
      for (const row of rows) this.#settleAll([Number(row.id)], readEnded(row));
    } catch (error) {
      // Where the server refuses the question it would refuse it again; a lost connection comes back.
      if (/^(22|42|3F)...$/.test((error as { code?: string }).code ?? "")) this.#settleAll(ids, error as Error);
    } finally {
      this.#asking = false;
      for (const id of ids) this.#askAgain(id);
      if (this.#ask.size > 0) setImmediate(() => void this.#askNow());
    }
  }

  #askAgain(id: number): void {
    const awaited = this.#awaited.get(id);
    if (awaited === undefined) return;
    void this.#listen();
    clearTimeout(awaited.timer);
    awaited.timer = setTimeout(() => this.#askFor(id), ASK_AGAIN_MS[Math.min(awaited.asked, ASK_AGAIN_MS.length - 1)]);
    awaited.asked += 1;
  }

  #settleAll(ids: Iterable<number>, outcome: Ended | Error): void {
    for (const id of [...ids]) {
      for (const settle of [...(this.#awaited.get(id)?.settle ?? [])]) settle(outcome);
    }
  }

  #forget(id: number): void {
    clearTimeout(this.#awaited.get(id)?.timer);
    this.#awaited.delete(id);
    if (this.#awaited.size === 0 && !this.#closed) this.#linger.set(LINGER_MS);
  }
}
