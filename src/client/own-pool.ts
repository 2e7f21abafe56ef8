import pg from "pg";
import type { Logger } from "../log.ts";
import type { Address } from "./addresses.ts";
import { primaryClient } from "./primary.ts";

/** How long calls that are under way may take when the pool ends, and the farewell of its connections. */
const END_MS = 5_000;

/** The pool of a client that was given addresses. */
export class OwnPool {
  readonly pool: pg.Pool;
  readonly #open = new Set<pg.PoolClient>();
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
      client.on("notice", (notice) => log.warn(notice.message ?? "notice", { hint: notice.hint }));
    });
    this.pool.on("remove", (client) => {
      this.#open.delete(client);
      if (this.#open.size === 0) this.#emptied();
    });
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
