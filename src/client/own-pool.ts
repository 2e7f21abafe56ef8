import pg from "pg";
import type { Logger } from "../log.ts";
import { type Checkout, checkOut } from "../worker/checkout.ts";
import type { Address } from "./addresses.ts";
import { letPrepare, sendPrepared } from "./prepared.ts";
import { primaryClient } from "./primary.ts";
import type { Queryable } from "./queryable.ts";

/** How long calls that are under way may take when the pool ends, and the farewell of its connections. */
const END_MS = 5_000;

/** The pool of a client that was given addresses. */
export class OwnPool implements Queryable {
  readonly pool: pg.Pool;
  readonly #open = new Set<pg.PoolClient>();
  readonly #names = new Map<string, string>();
  #emptied = () => {};

  constructor(addresses: readonly Address[], log: Logger) {
    this.pool = new pg.Pool({
      ...(addresses[0] === undefined ? {} : { connectionString: addresses[0].connectionString }),
      ...(addresses.length > 1 ? { Client: primaryClient(addresses) } : {}),
      application_name: "rouse",
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      // Before anything that stands between forgets a connection on which nothing happens.
      keepAliveInitialDelayMillis: 30_000,
      max: 20,
    });
    this.pool.on("connect", (client) => {
      this.#open.add(client);
      letPrepare(client);
      client.on("notice", (notice) => log.warn(notice.message ?? "notice", { hint: notice.hint }));
    });
    this.pool.on("remove", (client) => {
      this.#open.delete(client);
      if (this.#open.size === 0) this.#emptied();
    });
  }

  /** Runs a statement that is run over and over, prepared where that is possible. */
  async query(text: string, values?: unknown[]): Promise<pg.QueryResult> {
    const query = { name: this.#nameOf(text), text, ...(values && { values }) };
    let out: Checkout | undefined;
    try {
      out = await checkOut(this.pool);
      const { client, release } = out;
      const result = await new Promise<pg.QueryResult>((resolve, reject) => {
        sendPrepared(client, query, (error, answer) => (error ? reject(error) : resolve(answer)));
      });
      release();
      return result;
    } catch (error) {
      out?.release(true);
      // Of the caller, as pg's own pools do it: that of the socket's reader says nothing.
      Error.captureStackTrace(error as Error);
      throw error;
    }
  }

  #nameOf(text: string): string {
    const name = this.#names.get(text) ?? `rouse_${this.#names.size + 1}`;
    this.#names.set(text, name);
    return name;
  }

  /** Ends it. What a network swallows, or a lock holds up, for more than 5 s is cut off, and keeps no process from its end. */
  async end(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    const ended = this.pool.end();
    const timer = setTimeout(() => {
      for (const client of this.#open) client.connection.stream.destroy();
    }, END_MS);
    await ended;
    if (this.#open.size > 0) await gone;
    clearTimeout(timer);
  }
}
