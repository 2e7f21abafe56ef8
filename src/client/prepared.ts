import type pg from "pg";

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
 * Behind a pooler the next call may reach another session, which knows nothing of the statement: see isPooled. By callback: see
 * `ask`.
 */
export function sendPrepared(
  client: pg.PoolClient,
  query: pg.QueryConfig,
  answered: (error: Error | null, result: pg.QueryResult) => void,
): void {
  const isPooled = pooled.has(client) ? pooled.get(client) : true;
  if (isPooled === undefined) {
    client.query("select pg_catalog.pg_backend_pid() as pid", (error: Error | null, result) => {
      pooled.set(client, error !== null || !("processID" in client) || client.processID !== result.rows[0].pid);
      sendPrepared(client, query, answered);
    });
  } else {
    client.query(isPooled ? { ...query, name: undefined } : query, answered);
  }
}
