import type pg from "pg";
import type { ClientBase } from "pg";
import { CancelledError, RouseError, StaleAttemptError } from "../errors.ts";
import { answered, NoAnswerError } from "./ask.ts";
import { checkOut } from "./checkout.ts";
import type { ClaimedJob } from "./job.ts";
import type { Note } from "./notes.ts";
import type { Turns } from "./turns.ts";

/** SQLSTATE of a query in a transaction that has failed already. */
const IN_FAILED_TRANSACTION = "25P02";

export interface TransactionTools {
  readonly pool: pg.Pool;
  readonly schema: string;
  /** So many transactions at a time that connections are left to tell the database of what has finished. */
  readonly transactions: Turns;
  /** How long to wait for the answer to a query of our own. */
  readonly patienceMs: () => number;
}

/** What goes to the database with the completion. */
export interface TransactionEnd {
  /** As JSON. */
  readonly result: string | undefined;
  /** What the attempt had to say. */
  readonly note: Note | undefined;
}

/**
 * Runs `fn` in a transaction and completes the job in it, with the value of `fn` as `toEnd` puts it. The job's row is
 * locked last, so that `fn` may take its time. When the signal aborts the attempt has ended otherwise: the connection
 * is closed, which frees whoever waits for a query on it, and rolls back.
 */
export async function completeWith<T>(
  { pool, schema, transactions, patienceMs }: TransactionTools,
  job: ClaimedJob,
  signal: AbortSignal,
  fn: (client: ClientBase) => Promise<T>,
  toEnd: (value: T) => Promise<TransactionEnd>,
): Promise<T> {
  const inTime = <A>(query: Promise<A>) => answered(query, patienceMs());
  await transactions.take(signal);
  try {
    const { client, release } = await checkOut(pool);
    const close = () => release(true);
    signal.addEventListener("abort", close, { once: true });
    client.release = refuseRelease;
    try {
      signal.throwIfAborted();
      await inTime(client.query(begin(job)));
      const value = await fn(client);
      signal.throwIfAborted();
      await inTime(complete(client, schema, job, await toEnd(value)));
      const { command } = await inTime(client.query("commit"));
      if (command !== "COMMIT") throw new RouseError("the transaction was rolled back at its commit");
      release();
      return value;
    } catch (error) {
      // An open transaction ends with its connection, however that is; rolled back in words, the connection lives on.
      // Where the signal had aborted before there was a connection, nobody has closed it yet.
      if (signal.aborted) {
        close();
        throw signal.reason;
      }
      if (error instanceof NoAnswerError) close();
      else await inTime(client.query("rollback")).then(() => release(), close);
      throw error;
    } finally {
      signal.removeEventListener("abort", close);
    }
  } finally {
    transactions.release();
  }
}

/**
 * The settings end with the transaction. Where rouse.attempt is gone, fn has ended the transaction. The others have the
 * server look for a host that vanished, and roll back within some 14 seconds, instead of holding its locks for hours.
 */
function begin({ lease }: ClaimedJob): string {
  return `begin; set local rouse.attempt = '${lease}';
    set local tcp_keepalives_idle = 5; set local tcp_keepalives_interval = 3; set local tcp_keepalives_count = 3`;
}

async function complete(client: ClientBase, schema: string, job: ClaimedJob, { result, note }: TransactionEnd) {
  if (note !== undefined) await client.query(`select ${schema}.note_v1($1, true, true)`, [JSON.stringify([note])]);
  const { rows } = await client
    .query(
      `select case
         when current_setting('rouse.attempt', true) = $2::text then ${schema}.complete_v1($1, $2::uuid, $3::jsonb)
         else 'ended'
       end as outcome`,
      [job.id, job.lease, result ?? null],
    )
    .catch((error: Error & { code?: string }) => {
      if (error.code !== IN_FAILED_TRANSACTION) throw error;
      throw new RouseError(
        "a query in ctx.transaction failed, which fails the transaction, but its error was caught: let it pass, or use a savepoint",
        { cause: error },
      );
    });
  if (rows[0].outcome === "ended") {
    throw new RouseError(
      "the function given to ctx.transaction ended the transaction: leave commit and rollback to ctx.transaction, and use savepoints",
    );
  }
  if (rows[0].outcome === "cancelled") {
    throw new CancelledError(`job ${job.id} was cancelled: its writes were rolled back`);
  }
  if (rows[0].outcome !== "succeeded") {
    throw new StaleAttemptError(`job ${job.id} is no longer this attempt's: its writes were rolled back`);
  }
}

function refuseRelease(): never {
  throw new RouseError("the client of ctx.transaction is released by ctx.transaction");
}
