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
 *
 * By callback, since a promise would be too late: where the server's farewell comes in one piece with its welcome, the
 * connection breaks before whoever awaits it goes on.
 */
export function checkOut(pool: pg.Pool): Promise<Checkout> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client, giveBack) => {
      if (client === undefined) {
        reject(error);
        return;
      }
      let out = true;
      client.on("error", ignore);
      resolve({
        client,
        release(broken = false) {
          if (!out) return;
          out = false;
          client.off("error", ignore);
          giveBack(broken);
        },
      });
    });
  });
}

function ignore(): void {}
