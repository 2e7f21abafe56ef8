import type pg from "pg";
import { checkOut } from "./checkout.ts";
import { outOfPatience } from "./patience.ts";

/**
 * Runs a query on a connection of the pool. Where that fails, for whatever reason, the connection is not used again;
 * and where no answer comes in that time, as when the network swallows all that is sent, both are given up: the query may
 * have been carried out or not.
 */
export async function ask<Row extends pg.QueryResultRow | unknown[]>(
  pool: pg.Pool,
  query: pg.QueryConfig & { readonly rowMode?: "array" },
  patienceMs: number,
): Promise<Row[]> {
  const { client, release } = await checkOut(pool);
  let stopWaiting = () => {};
  try {
    const lost = new Promise<never>((_resolve, reject) => {
      stopWaiting = outOfPatience(patienceMs, () =>
        reject(new Error(`the database did not answer within ${patienceMs / 1000} s`)),
      );
    });
    const { rows } = await Promise.race([client.query(query as pg.QueryConfig), lost]);
    release();
    return rows as Row[];
  } catch (error) {
    release(true);
    throw error;
  } finally {
    stopWaiting();
  }
}
