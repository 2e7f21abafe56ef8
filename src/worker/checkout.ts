import type pg from "pg";

/** A connection taken from a pool, with the one way to give it back. */
export interface Checkout {
  readonly client: pg.PoolClient;
  /** Gives it back, or ends it where `broken` says that it cannot be used again. Once; later calls do nothing. */
  release(broken?: boolean): void;
}

/**
 * Takes a connection from the pool. While it is out nobody listens to its errors but us: without a listener the loss of
 * a connection would end the process. Whoever waits for a query is told by the query.
 */
export async function checkOut(pool: pg.Pool): Promise<Checkout> {
  const client = await pool.connect();
  const giveBack = client.release;
  let out = true;
  client.on("error", ignore);
  return {
    client,
    release(broken = false) {
      if (!out) return;
      out = false;
      client.off("error", ignore);
      giveBack.call(client, broken);
    },
  };
}

function ignore(): void {}
