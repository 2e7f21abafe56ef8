import type pg from "pg";
import { checkOut } from "./checkout.ts";
import type { Finished } from "./finished.ts";
import { type ClaimedJob, claimedJob, EXCHANGE_COLUMNS, EXCHANGE_TYPES } from "./job.ts";
import { outOfPatience } from "./patience.ts";

/** What one call of exchange_v1 answered. */
export interface Answer {
  readonly claimed: ClaimedJob[];
  /** Jobs that were not finished because the attempt is no longer theirs. */
  readonly stale: Set<number>;
  /** Jobs that were not finished because another transaction holds the row. */
  readonly busy: Set<number>;
  /** Set where fewer jobs were claimed than asked for. */
  readonly rest: { readonly lookAgain: boolean; readonly waitMs: number | null } | undefined;
}

/** Who claims: a worker row, and what it serves. */
export interface Claimant {
  readonly worker: number;
  readonly queues: readonly string[] | undefined;
  readonly tasks: readonly string[];
}

/** Time after which a call that got no answer counts as lost with its connection. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Calls exchange_v1. Where that fails, for whatever reason, the connection is not used again. */
export async function exchange(
  pool: pg.Pool,
  schema: string,
  { worker, queues, tasks }: Claimant,
  most: number,
  finished: readonly Finished[],
): Promise<Answer> {
  const text = `select ${EXCHANGE_COLUMNS} from ${schema}.exchange_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, notes => $10)`;
  const values = [worker, queues ?? null, tasks, most, ...ends(finished)];
  const { client, release } = await checkOut(pool);
  let stopWaiting = () => {};
  try {
    const query = client.query({ text, values, rowMode: "array", types: EXCHANGE_TYPES });
    const lost = new Promise<never>((_resolve, reject) => {
      stopWaiting = outOfPatience(ANSWER_TIMEOUT_MS, () =>
        reject(new Error(`the database did not answer within ${ANSWER_TIMEOUT_MS / 1000} s`)),
      );
    });
    const { rows } = await Promise.race([query, lost]);
    release();
    return readAnswer(rows);
  } catch (error) {
    release(true);
    throw error;
  } finally {
    stopWaiting();
  }
}

/** The arguments completed, leases, results, failures, releases, notes. */
function ends(finished: readonly Finished[]): unknown[] {
  const completed: number[] = [];
  const leases: string[] = [];
  const results: string[] = [];
  const failures: unknown[] = [];
  const releases: unknown[] = [];
  const notes = finished.flatMap(({ note }) => note ?? []);
  for (const end of finished) {
    const { id, lease } = end.job;
    if (end.kind === "completed") {
      completed.push(id);
      leases.push(lease);
      if (end.result !== undefined) results.push(`"${id}":${end.result}`);
    } else if (end.kind === "failed") {
      const { error, retry, at, after } = end.failure;
      const retryIn = after === undefined ? undefined : `${after} milliseconds`;
      failures.push({ id, lease, error, retry, retry_at: at?.toISOString(), retry_in: retryIn });
    } else {
      releases.push({ id, lease });
    }
  }
  return [
    completed,
    leases,
    `{${results.join(",")}}`,
    JSON.stringify(failures),
    JSON.stringify(releases),
    JSON.stringify(notes),
  ];
}

function readAnswer(rows: readonly (readonly unknown[])[]): Answer {
  const claimed: ClaimedJob[] = [];
  const stale = new Set<number>();
  const busy = new Set<number>();
  let rest: Answer["rest"];
  for (const row of rows) {
    switch (row[0]) {
      case "claimed":
        claimed.push(claimedJob(row));
        break;
      case "stale":
        stale.add(Number(row[1]));
        break;
      case "busy":
        busy.add(Number(row[1]));
        break;
      case "sleep":
      case "look_again":
        rest = { lookAgain: row[0] === "look_again", waitMs: row[15] as number | null };
        break;
    }
  }
  return { claimed, stale, busy, rest };
}
