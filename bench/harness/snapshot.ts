import pg from "pg";

/** A connection whose transaction, if `held`, stays open with a snapshot until the end. */
export async function holdSnapshot(connectionString: string, held: boolean): Promise<AsyncDisposable> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query(held ? "begin isolation level repeatable read; select 1 from pg_class" : "select 1");
  return { [Symbol.asyncDispose]: () => client.end() };
}
