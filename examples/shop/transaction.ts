import type { Pool, PoolClient } from "pg";

/** Runs work in a transaction and tells when its commit was sent, by `performance.now()`. */
export async function committed<T>(
  db: Pool,
  work: (client: PoolClient) => Promise<T>,
): Promise<{ value: T; committingAt: number }> {
  const client = await db.connect();
  try {
    await client.query("begin");
    const value = await work(client);
    const committingAt = performance.now();
    await client.query("commit");
    return { value, committingAt };
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

/** Runs work in a transaction that is rolled back. */
export async function rolledBack(db: Pool, work: (client: PoolClient) => Promise<unknown>): Promise<void> {
  const client = await db.connect();
  try {
    await client.query("begin");
    await work(client);
  } finally {
    await client.query("rollback");
    client.release();
  }
}
