import type pg from "pg";
import { isPooled } from "./pooler.ts";

/** Connections whose statements may be prepared: whether a pooler stands between, and undefined where nobody has looked yet. */
const pooled = new WeakMap<pg.PoolClient, boolean | undefined>();

/** Lets statements be prepared on a connection that nobody but us uses, so that nobody discards them. */
export function letPrepare(client: pg.PoolClient): void {
  pooled.set(client, undefined);
}

/**
 * Sends a query, under its name where this connection allows that: the server then keeps what it has read and planned. Reading
 * the calls that add and claim a job takes a sixth of the time from the one to the job's start.
 *
 * Behind a pooler the next call may reach another session, which knows nothing of the statement. Whether there is one, the
 * first query with a name on a connection finds out. By callback: see `ask`.
 */
export function sendPrepared(
  client: pg.PoolClient,
  query: pg.QueryConfig,
  answered: (error: Error | null, result: pg.QueryResult) => void,
): void {
  if (query.name !== undefined && pooled.has(client) && pooled.get(client) === undefined) {
    const learn = (is: boolean) => {
      pooled.set(client, is);
      sendPrepared(client, query, answered);
    };
    isPooled(client).then(learn, () => learn(true));
  } else {
    client.query(pooled.get(client) === false ? query : { ...query, name: undefined }, answered);
  }
}
