import type { Logger } from "../log.ts";

/** A live message. */
export interface Message {
  readonly topic: string;
  readonly payload: unknown;
  readonly publishedAt: Date;
}

/** What it returns is not waited for; what it throws is logged, and the next message comes all the same. */
export type MessageHandler = (payload: unknown, message: Message) => unknown;

export interface Subscriber {
  readonly topic: string;
  readonly handler: MessageHandler;
  readonly onMissed: (() => unknown) | undefined;
}

/** The handlers of a process. */
export class Subscribers {
  readonly #log: Logger;
  readonly #all = new Set<Subscriber>();

  constructor(log: Logger) {
    this.#log = log;
  }

  get size(): number {
    return this.#all.size;
  }

  add(subscriber: Subscriber): void {
    this.#all.add(subscriber);
  }

  remove(subscriber: Subscriber): void {
    this.#all.delete(subscriber);
  }

  clear(): void {
    this.#all.clear();
  }

  topics(): string[] {
    return [...new Set([...this.#all].map(({ topic }) => topic))];
  }

  listensTo(topic: unknown): boolean {
    return [...this.#all].some((subscriber) => subscriber.topic === topic);
  }

  tell(message: Message): void {
    for (const { topic, handler } of [...this.#all]) {
      if (topic === message.topic) this.#call(topic, () => handler(message.payload, message));
    }
  }

  tellMissed(): void {
    for (const { topic, onMissed } of [...this.#all]) this.#call(topic, () => onMissed?.());
  }

  #call(topic: string, handler: () => unknown): void {
    const failed = (error: unknown) => {
      this.#log.error("a handler of live messages failed", {
        topic,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    };
    try {
      Promise.resolve(handler()).catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
