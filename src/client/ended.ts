import { type AttemptFailure, JobError } from "../errors.ts";

/** A job that has ended, or of which nothing is known any more. */
export interface Ended {
  readonly id: number;
  readonly state: "succeeded" | JobError["state"];
  readonly result: unknown;
  readonly attempts: number;
  readonly failures: readonly AttemptFailure[];
}

/** Reads a row of await_v1. */
export function readEnded(row: Readonly<Record<string, unknown>>): Ended {
  const errors = (row.errors ?? []) as { attempt: number; failed_at: string; message: string }[];
  return {
    id: Number(row.id),
    state: (row.state ?? "gone") as Ended["state"],
    result: row.result ?? undefined,
    attempts: Number(row.attempt ?? 0),
    failures: errors.map(({ attempt, failed_at: failedAt, message, ...detail }) => ({
      attempt,
      failedAt: new Date(failedAt),
      message,
      detail,
    })),
  };
}

/** The result of a job that succeeded. @throws JobError for any other. */
export function outcomeOf({ id, state, result, attempts, failures }: Ended): unknown {
  if (state === "succeeded") return result;
  throw new JobError(why({ id, state, result, attempts, failures }), { id, state, attempts, failures });
}

function why({ id, state, result, attempts, failures }: Ended): string {
  const { cancelled_by: by, superseded_by: newer } = (result ?? {}) as Record<string, unknown>;
  switch (state) {
    case "failed":
      return `job ${id} failed after ${attempts} attempt${attempts === 1 ? "" : "s"}: ${failures.at(-1)?.message}`;
    case "cancelled":
      return `job ${id} was cancelled${by === undefined ? "" : ` by ${by}`}${newer === undefined ? "" : `: job ${newer} has taken its place`}`;
    case "expired":
      return `job ${id} expired before it could run`;
    default:
      return `there is no job ${id}: its task keeps no finished jobs, it was purged or its time in the archive is over, or the transaction that enqueued it is not committed`;
  }
}
