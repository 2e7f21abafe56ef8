import { Listener, type ListenerOptions } from "./listener.ts";

/** Who listens with it. */
export type Ears = Pick<ListenerOptions, "onListening" | "onHint">;

/** One listening connection for all that listens in a process; open while anybody does. */
export class SharedListener {
  readonly #options: Pick<ListenerOptions, "addresses" | "log">;
  readonly #ears = new Set<Ears>();
  #channel = "";
  #listener: Listener | undefined;
  #starting: Promise<void> | undefined;

  constructor(options: Pick<ListenerOptions, "addresses" | "log">) {
    this.#options = options;
  }

  get listening(): boolean {
    return this.#listener?.listening ?? false;
  }

  /** Names the channel, before the start or later: that of an installation made anew is another. */
  listenTo(channel: string): void {
    this.#channel = channel;
    this.#listener?.listenTo(channel);
  }

  /** Lets these ears hear, until they are closed. Resolves when listening, or when the first try has failed. */
  async open(ears: Ears): Promise<void> {
    this.#ears.add(ears);
    if (this.#listener === undefined) {
      this.#listener = new Listener({
        ...this.#options,
        onListening: () => {
          for (const each of this.#ears) each.onListening();
        },
        onHint: (hint) => {
          for (const each of this.#ears) each.onHint(hint);
        },
      });
      this.#listener.listenTo(this.#channel);
      this.#starting = this.#listener.start();
    } else if (this.#listener.listening) {
      ears.onListening();
    }
    await this.#starting;
  }

  /** Gives up the connection, which looks alive and is not, for a new one. */
  restart(reason: string): void {
    this.#listener?.restart(reason);
  }

  async close(ears: Ears): Promise<void> {
    this.#ears.delete(ears);
    if (this.#ears.size > 0) return;
    const listener = this.#listener;
    this.#listener = undefined;
    await listener?.close();
  }
}
