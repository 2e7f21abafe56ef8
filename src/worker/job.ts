import pg from "pg";
import type { JobInfo } from "./context.ts";

/** A claimed job as exchange_v1 gave it. */
export interface ClaimedJob {
  readonly id: number;
  readonly lease: string;
  readonly task: string;
  readonly payload: unknown;
  /** Timeout of this job's attempts in milliseconds; null: as its task says. */
  readonly timeout: number | null;
  readonly priority: number;
  /** When it arrived here, on the clock of performance.now(). */
  readonly claimedAt: number;
  /** When it may start no longer, on the same clock; undefined: it always may. */
  readonly startBy: number | undefined;
  readonly row: readonly unknown[];
}

/** Columns of exchange_v1 in the order in which rows are read. */
export const EXCHANGE_COLUMNS = `outcome, id, lease, task, payload, extract(epoch from timeout) * 1000,
  queue, priority, attempt, max_attempts, run_at, created_at, scheduled_for, tags, headers, wait_ms,
  extract(epoch from expires_in) * 1000`;

/** The queue it waited in. */
export function queueOf({ row }: ClaimedJob): string {
  return row[6] as string;
}

/** @param askedAt When it was asked for: its time to start runs from then at the latest. */
export function claimedJob(row: readonly unknown[], askedAt: number, claimedAt: number): ClaimedJob {
  return {
    id: row[1] as number,
    lease: row[2] as string,
    task: row[3] as string,
    payload: row[4],
    timeout: row[5] === null ? null : Number(row[5]),
    priority: row[7] as number,
    claimedAt,
    startBy: row[16] === null ? undefined : askedAt + Number(row[16]),
    row,
  };
}

const { INT8, TIMESTAMPTZ } = pg.types.builtins;
const parseTimestamp = pg.types.getTypeParser(TIMESTAMPTZ) as (text: string) => Date;

/**
 * Ids are numbers, as they are below 2^53. Timestamps stay text until a handler asks: three of them in each row would cost
 * more than all the rest of reading it, and most handlers never look.
 */
export const EXCHANGE_TYPES: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") => {
    if (oid === INT8) return Number;
    return oid === TIMESTAMPTZ ? (text: string) => text : pg.types.getTypeParser(oid, format as "text");
  },
};

/** What a handler sees of its job, read from the row when it is asked for. */
export function jobInfo(job: ClaimedJob): JobInfo {
  const { row } = job;
  const date = (text: unknown) => parseTimestamp(text as string);
  return {
    id: job.id,
    task: job.task,
    queue: row[6] as string,
    priority: job.priority,
    attempt: row[8] as number,
    maxAttempts: row[9] as number | null,
    runAt: date(row[10]),
    createdAt: date(row[11]),
    scheduledFor: row[12] === null ? null : date(row[12]),
    tags: (row[13] as string[] | null) ?? [],
    headers: (row[14] as Record<string, unknown> | null) ?? {},
  };
}
