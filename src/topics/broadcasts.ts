import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { RouseError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { checkOptions } from "../tasks/options.ts";
import { Alarm } from "../worker/alarm.ts";
import { ask } from "../worker/ask.ts";
import { Backoff } from "../worker/backoff.ts";
import { outOfPatience } from "../worker/patience.ts";
import type { SharedListener } from "../worker/shared-listener.ts";
import { Position } from "./position.ts";
import { checkTopic } from "./publish.ts";
import { type MessageHandler, Subscribers } from "./subscribers.ts";

export interface ListenOptions {
  /**
   * Called when messages may be lost: the connection was away for more than nine minutes, or the server crashed or
   * failed over. Read then what the messages would have told, or forget what is cached.
   */
  readonly onMissed?: () => unknown;
}

/** A handler that listens. */
export interface Listening extends AsyncDisposable {
  readonly topic: string;
  /** From now on the handler is not called any more. */
  stop(): Promise<void>;
}

export interface BroadcastsOptions {
  readonly listener: Pick<SharedListener, "listening" | "listenTo" | "open" | "restart" | "close">;
  readonly pool: pg.Pool;
  readonly schema: string;
  readonly log: Logger;
}

/** Without hearing of a mark for that long a process makes one; varied by half, so that one of many does so first. */
const MARK_EVERY_MS = 30_000;
/** Time in which a process must hear of a mark that it made. */
const MARK_TIMEOUT_MS = 3_000;
/** Time in which a query must be answered: some of them bring many large messages. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Between two looks for messages where no notification comes. */
const LOOK_EVERY_MS = 1_000;
/** Notifications whose messages are fetched at once: each may name a thousand, each as large as a payload may be. */
const FETCHED_AT_ONCE = 20;

/**
 * Live messages for the handlers of this process. Notifications name them, and they are fetched. Marks among the
 * notifications say how far everything was heard: after a broken connection it goes on from the last one.
 */
export class Broadcasts {
  readonly #options: BroadcastsOptions;
  readonly #subscribers: Subscribers;
  readonly #ears = {
    onListening: () => this.#connected(),
    onHint: (hint: Readonly<Record<string, unknown>>) => this.#heard(hint),
  };
  readonly #markAlarm = new Alarm(() => void this.#mark().catch(() => {}));
  /** Ids that notifications named, of messages not yet fetched. */
  readonly #named = new Set<number>();
  /** Who waits until a mark is reached. */
  readonly #waiting = new Map<() => void, number>();
  #position = new Position();
  #lastHeard = 0;
  #opened: Promise<void> | undefined;
  #closing = new AbortController();
  #shutting: Promise<void> | undefined;
  #endPatience: (() => void) | undefined;
  #looking: NodeJS.Timeout | undefined;
  /** One thing after the other, in the order of the notifications. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: BroadcastsOptions) {
    this.#options = options;
    this.#subscribers = new Subscribers(options.log);
  }

  async listen(topic: string, handler: MessageHandler, options: ListenOptions): Promise<Listening> {
    checkTopic(topic);
    checkOptions(`listen to "${topic}"`, options, ["onMissed"]);
    const subscriber = { topic, handler, onMissed: options.onMissed };
    const stop = async () => {
      this.#subscribers.remove(subscriber);
      if (this.#subscribers.size === 0) await this.#shut();
    };
    this.#subscribers.add(subscriber);
    try {
      this.#opened ??= this.#open();
      await this.#opened;
      if (this.#looking === undefined) await this.#reached(await this.#mark());
    } catch (error) {
      await stop();
      throw error;
    }
    return { topic, stop, [Symbol.asyncDispose]: stop };
  }

  async close(): Promise<void> {
    this.#subscribers.clear();
    await this.#shut();
  }

  async #open(): Promise<void> {
    const { listener } = this.#options;
    await this.#shutting;
    this.#closing = new AbortController();
    const [row] = await this.#query("channel()", []);
    listener.listenTo(String(row!.channel));
    await listener.open(this.#ears);
    if (!listener.listening) throw new RouseError("the server cannot be listened to; the log says why");
  }

  #shut(): Promise<void> {
    this.#opened = undefined;
    this.#closing.abort();
    this.#markAlarm.clear();
    this.#endPatience?.();
    this.#endPatience = undefined;
    clearInterval(this.#looking);
    this.#looking = undefined;
    this.#named.clear();
    this.#position = new Position();
    for (const resolve of this.#waiting.keys()) resolve();
    this.#waiting.clear();
    this.#shutting = Promise.all([this.#options.listener.close(this.#ears), this.#work]).then(() => {});
    return this.#shutting;
  }

  /** The connection is there, for the first time or again. */
  #connected(): void {
    const { mark } = this.#position;
    if (mark !== undefined) this.#do(() => this.#catchUp());
    if (mark !== undefined || this.#waiting.size > 0) void this.#mark().catch(() => {});
  }

  #heard({ mark, topic, id }: Readonly<Record<string, unknown>>): void {
    if (typeof mark === "number") {
      // One that comes with the answer to LISTEN says nothing of what the connection before has missed.
      if (!this.#options.listener.listening) return;
      this.#lastHeard = Math.max(mark, this.#lastHeard);
      this.#endPatience?.();
      this.#endPatience = undefined;
      this.#setAlarm();
      this.#do(async () => this.#reach(mark));
    } else if (typeof id === "number" && this.#subscribers.listensTo(topic)) {
      this.#named.add(id);
      if (this.#named.size === 1) this.#do(() => this.#fetch());
    }
  }

  /** Makes a mark, and gives up the connection where it does not hear of it. */
  async #mark(): Promise<number> {
    this.#setAlarm();
    const [row] = await this.#query("broadcast_mark_v1()", []);
    const mark = Number(row!.broadcast_mark_v1);
    if (this.#opened !== undefined && this.#lastHeard < mark) {
      this.#endPatience ??= outOfPatience(MARK_TIMEOUT_MS, () => {
        this.#endPatience = undefined;
        this.#unheard();
      });
    }
    return mark;
  }

  #setAlarm(): void {
    if (this.#opened !== undefined) this.#markAlarm.set(MARK_EVERY_MS * (1 + Math.random() / 2));
  }

  #unheard(): void {
    const { listener, log } = this.#options;
    // Where the connection was lost meanwhile the next one has its own mark.
    if (!listener.listening) return;
    if (this.#position.mark !== undefined) {
      listener.restart("it heard nothing of a mark");
      return;
    }
    log.warn(
      "no notification comes through the pooler that this address leads to: looking for live messages every second; give the server's own address too (directConnectionString, ROUSE_DIRECT_URL)",
    );
    void listener.close(this.#ears);
    this.#markAlarm.clear();
    this.#looking = setInterval(() => this.#do(() => this.#look()), LOOK_EVERY_MS);
    this.#do(() => this.#look());
  }

  /** Where nothing is heard: what has come since the last look. */
  async #look(): Promise<void> {
    const [row] = await this.#query("broadcast_mark_v1()", []);
    if (this.#position.mark !== undefined) await this.#catchUp();
    this.#reach(Number(row!.broadcast_mark_v1));
  }

  #reach(mark: number): void {
    this.#position.reach(mark);
    for (const [resolve, awaited] of this.#waiting) {
      if (awaited > mark) continue;
      this.#waiting.delete(resolve);
      resolve();
    }
  }

  async #reached(mark: number): Promise<void> {
    if ((this.#position.mark ?? 0) < mark) await new Promise<void>((resolve) => this.#waiting.set(resolve, mark));
  }

  async #fetch(): Promise<void> {
    while (this.#named.size > 0) {
      const ids = [...this.#named].slice(0, FETCHED_AT_ONCE);
      for (const id of ids) this.#named.delete(id);
      let rows: Record<string, unknown>[];
      try {
        rows = await this.#query("broadcasts_v1($1)", [ids]);
      } catch {
        // All that is missing now lies behind the last mark.
        this.#named.clear();
        await this.#catchUp();
        return;
      }
      // In the order of their commits, which that of their ids need not be.
      const byId = ids.map((named) => rows.filter(({ id }) => Number(id) === named));
      this.#deliver(byId.flat());
      if (byId.some(({ length }) => length === 0)) this.#missed("messages were gone before they could be fetched");
    }
  }

  /** Delivers what was committed since the last mark, as soon as the server can be asked. */
  async #catchUp(): Promise<void> {
    const { signal } = this.#closing;
    const backoff = new Backoff();
    while (!signal.aborted) {
      try {
        const since = [this.#subscribers.topics(), this.#position.mark ?? null];
        this.#deliver(await this.#query("broadcasts_since_v1($1, $2)", since));
        return;
      } catch (error) {
        const { code, message } = error as Error & { code?: string };
        if (code === "55000") {
          this.#missed(message);
          return;
        }
        if (backoff.attempts === 0)
          this.#options.log.warn("could not fetch live messages; trying on", { error: message });
        await sleep(backoff.next(), undefined, { signal }).catch(() => {});
      }
    }
  }

  /** The messages of an id were published in one transaction: they come together or not at all. */
  #deliver(rows: readonly Record<string, unknown>[]): void {
    if (this.#closing.signal.aborted) return;
    const fresh = rows.filter(({ id }) => !this.#position.knows(Number(id)));
    for (const { id } of fresh) this.#position.deliver(Number(id));
    for (const { topic, payload, published_at } of fresh) {
      this.#subscribers.tell({ topic: String(topic), payload, publishedAt: published_at as Date });
    }
  }

  #missed(why: string): void {
    this.#options.log.warn("live messages may have been missed", { topics: this.#subscribers.topics(), why });
    this.#subscribers.tellMissed();
  }

  #do(work: () => Promise<void>): void {
    const { signal } = this.#closing;
    this.#work = this.#work.then(async () => {
      if (signal.aborted) return;
      await work().catch((error: Error) => {
        this.#options.log.warn("could not fetch live messages", { error: error.message });
      });
    });
  }

  async #query(call: string, values: unknown[]): Promise<Record<string, unknown>[]> {
    const { pool, schema } = this.#options;
    return await ask(pool, { text: `select * from ${schema}.${call}`, values }, ANSWER_TIMEOUT_MS);
  }
}
