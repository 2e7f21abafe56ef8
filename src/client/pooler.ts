import type pg from "pg";

/**
 * Whether a pooler stands between a client and the server: it gives its clients process numbers of its own making. In
 * session mode that does no harm; in transaction mode what belongs to a session (LISTEN, a lock) is lost.
 */
export async function isPooled(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query("select pg_catalog.pg_backend_pid() as pid");
  return "processID" in client && client.processID !== rows[0].pid;
}
