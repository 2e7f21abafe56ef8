import type pg from "pg";
import pgListen from "pg-listen";
import { primaryOf } from "../client/primary.ts";
import type { Logger } from "../log.ts";
import { Backoff } from "./backoff.ts";
import { within } from "./within.ts";

export interface ListenerOptions {
  /** Where to connect; several: to the one that takes writes. */
  readonly addresses: readonly pg.ClientConfig[];
  readonly log: Logger;
  /** Each time the channel is being listened to: from here on nothing is missed, before it anything may have been. */
  readonly onListening: () => void;
  readonly onHint: (hint: Readonly<Record<string, unknown>>) => void;
}

/** Time that connecting may take, and then the answer to LISTEN. */
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * Listens to the channel, over however many connections that takes. Each pg-listen subscriber serves for the life of one
 * connection: its own reconnecting gives up (after 3 s by default), goes on after close() otherwise, and does not
 * cover the first connect.
 */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #backoff = new Backoff();
  #subscriber: pgListen.Subscriber | undefined;
  #retry: NodeJS.Timeout | undefined;
  #channel = "";
  #closed = false;
  #listening = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  get listening(): boolean {
    return this.#listening;
  }

  /** Names the channel, before the start or later: that of an installation made anew is another. */
  listenTo(channel: string): void {
    if (channel === this.#channel) return;
    this.#channel = channel;
    this.restart("the channel has changed");
  }

  /** Connects, and stays connected until closed. Resolves when listening, or when the first try has failed. */
  async start(): Promise<void> {
    let subscriber: pgListen.Subscriber | undefined;
    try {
      const address = await primaryOf(this.#options.addresses);
      if (this.#closed) return;
      subscriber = this.#createSubscriber(address);
      this.#subscriber = subscriber;
      await subscriber.connect();
      await subscriber.listenTo(this.#channel);
      if (this.#closed || this.#subscriber !== subscriber) {
        await subscriber.close();
        return;
      }
      this.#listening = true;
      if (this.#backoff.attempts > 0) this.#options.log.info("listening again");
      this.#backoff.reset();
      this.#options.onListening();
    } catch (error) {
      this.#lost(subscriber, error as Error);
    }
  }

  /** Gives up the connection, which looks alive and is not, for a new one. */
  restart(reason: string): void {
    if (this.#subscriber !== undefined) this.#lost(this.#subscriber, new Error(reason));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listening = false;
    clearTimeout(this.#retry);
    await end(this.#subscriber);
  }

  #createSubscriber(address: pg.ClientConfig): pgListen.Subscriber {
    const subscriber = pgListen.default(
      {
        ...address,
        application_name: "rouse listener",
        connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
        query_timeout: ANSWER_TIMEOUT_MS,
      },
      // A lost connection ends the subscriber at once (no retry of its own); a payload that is not JSON is nobody's.
      { retryLimit: 1, paranoidChecking: false, parse: parseHint },
    );
    subscriber.events.on("error", (error) => this.#lost(subscriber, error));
    subscriber.notifications.on(this.#channel, (hint) => {
      if (hint !== undefined) this.#options.onHint(hint);
    });
    return subscriber;
  }

  #lost(subscriber: pgListen.Subscriber | undefined, error: Error): void {
    if (this.#closed || this.#subscriber !== subscriber) return;
    this.#subscriber = undefined;
    this.#listening = false;
    void end(subscriber);
    if (this.#backoff.attempts === 0) {
      this.#options.log.warn("not listening; connecting again", { error: error.message });
    }
    this.#retry = setTimeout(() => void this.start(), this.#backoff.next());
  }
}

function parseHint(payload: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const hint = JSON.parse(payload);
    return typeof hint === "object" && hint !== null ? hint : undefined;
  } catch {
    return undefined;
  }
}

/** Ending a connection that is half dead may fail or never come back; either is fine. */
async function end(subscriber: pgListen.Subscriber | undefined): Promise<void> {
  if (subscriber === undefined) return;
  await within(
    1_000,
    Promise.resolve(subscriber.close()).catch(() => {}),
  );
}
