import type pg from "pg";
import { sendPrepared } from "../client/prepared.ts";
import { RouseError } from "../errors.ts";
import { checkOut } from "./checkout.ts";
import { outOfPatience } from "./patience.ts";

/** Whether what was asked for has been done is not known. */
export class NoAnswerError extends RouseError {
  override name = "NoAnswerError";
}

/** Waits for the answer to a query. @throws NoAnswerError where none comes in that time, as where the network swallows it. */
export async function answered<T>(query: Promise<T>, patienceMs: number): Promise<T> {
  let stopWaiting = () => {};
  const lost = new Promise<never>((_resolve, reject) => {
    stopWaiting = outOfPatience(patienceMs, () =>
      reject(new NoAnswerError(`the database did not answer within ${patienceMs / 1000} s`)),
    );
  });
  try {
    return await Promise.race([query, lost]);
  } finally {
    stopWaiting();
  }
}

/** Runs a query on a connection of the pool, prepared where it has a name, and gives its rows. Where that fails, for whatever reason, the connection is not used again. */
export async function ask<Row extends pg.QueryResultRow | unknown[]>(
  pool: pg.Pool,
  query: pg.QueryConfig & { readonly rowMode?: "array" },
  patienceMs: number,
): Promise<Row[]> {
  const { client, release } = await checkOut(pool);
  try {
    const { rows } = await answered(resultOf(client, query), patienceMs);
    release();
    return rows as Row[];
  } catch (error) {
    release(true);
    throw error;
  }
}

/**
 * A promise of our own: of pg's, each keeps the next one from being collected with the young generation, and so
 * all rows of all queries until the old one is. That is 40 % of what a busy worker allocates.
 */
function resultOf(client: pg.PoolClient, query: pg.QueryConfig): Promise<pg.QueryResult> {
  return new Promise((resolve, reject) => {
    sendPrepared(client, query, (error, result) => (error ? reject(error) : resolve(result)));
  });
}
