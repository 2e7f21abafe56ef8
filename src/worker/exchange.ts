import type pg from "pg";
import { ask } from "./ask.ts";
import type { Bookmark, Marked } from "./bookmark.ts";
import type { Finished } from "./finished.ts";
import { type ClaimedJob, claimedJob, EXCHANGE_COLUMNS, EXCHANGE_TYPES } from "./job.ts";

/** What one call of exchange_v1 answered. */
export interface Answer {
  readonly claimed: ClaimedJob[];
  /** Jobs that were not finished because the attempt is no longer theirs. */
  readonly stale: Set<number>;
  /** Jobs that were not finished because another transaction holds the row. */
  readonly busy: Set<number>;
  /** Set where fewer jobs were claimed than asked for. */
  readonly rest: Rest | undefined;
}

/** What is left when a worker has taken what it could: jobs to look at again, or none for a time. */
export interface Rest {
  readonly lookAgain: boolean;
  readonly waitMs: number | null;
}

/** Who claims: a worker row, and what it serves. */
export interface Claimant {
  readonly worker: number;
  readonly queues: readonly string[] | undefined;
  readonly tasks: readonly string[];
  /** How many jobs of each queue may be claimed; undefined: as many as asked for of any. */
  readonly slots: Readonly<Record<string, number>> | undefined;
  readonly bookmark: Bookmark;
}

/** What exchange_v1 answered, bookmark included. */
interface WholeAnswer extends Answer {
  readonly bookmark: Marked | undefined;
}

/** Calls exchange_v1. By position: behind a pooler the server reads the statement anew each time, and names would take it 20 µs more. */
export async function exchange(
  pool: pg.Pool,
  schema: string,
  { worker, queues, tasks, slots, bookmark }: Claimant,
  most: number,
  finished: readonly Finished[],
  patienceMs: number,
): Promise<Answer> {
  const text = `select ${EXCHANGE_COLUMNS}
    from ${schema}.exchange_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp(), $10, $11, $12, $13)`;
  const opened = most > 0 ? bookmark.open() : undefined;
  const values = [
    worker,
    queues ?? null,
    tasks,
    most,
    ...ends(finished),
    slots === undefined ? null : JSON.stringify(slots),
    opened?.text ?? null,
    opened?.whole ?? true,
  ];
  let answer: WholeAnswer | undefined;
  try {
    const askedAt = performance.now();
    const query = { name: "rouse_exchange", text, values, rowMode: "array", types: EXCHANGE_TYPES } as const;
    const rows = await ask<unknown[]>(pool, query, patienceMs);
    answer = readAnswer(rows, askedAt);
  } finally {
    if (opened !== undefined) bookmark.close(opened, answer?.bookmark);
  }
  const { rest } = answer;
  if (opened === undefined || rest === undefined) return answer;
  if (opened.whole) {
    if (!rest.lookAgain) bookmark.slept();
    return answer;
  }
  return { ...answer, rest: { lookAgain: true, waitMs: Math.min(rest.waitMs ?? Infinity, bookmark.dueInMs) } };
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
    `{${completed.join(",")}}`,
    `{${leases.join(",")}}`,
    `{${results.join(",")}}`,
    JSON.stringify(failures),
    JSON.stringify(releases),
    JSON.stringify(notes),
  ];
}

function readAnswer(rows: readonly (readonly unknown[])[], askedAt: number): WholeAnswer {
  const answeredAt = performance.now();
  const claimed: ClaimedJob[] = [];
  const stale = new Set<number>();
  const busy = new Set<number>();
  let rest: Answer["rest"];
  let bookmark: WholeAnswer["bookmark"];
  for (const row of rows) {
    switch (row[0]) {
      case "claimed":
        claimed.push(claimedJob(row, askedAt, answeredAt));
        break;
      case "stale":
        stale.add(row[1] as number);
        break;
      case "busy":
        busy.add(row[1] as number);
        break;
      case "sleep":
      case "look_again":
        rest = { lookAgain: row[0] === "look_again", waitMs: row[15] as number | null };
        break;
      case "bookmark":
        bookmark = { text: JSON.stringify(row[4]), waitMs: row[15] as number | null };
        break;
    }
  }
  return { claimed, stale, busy, rest, bookmark };
}
