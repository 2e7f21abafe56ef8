/** Anything that runs a query with parameters: a pg Client, Pool or PoolClient, or a wrapper of an ORM's transaction. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}
