import type pg from "pg";
import { ask } from "./ask.ts";
import type { Claimant, Rest } from "./exchange.ts";

interface Row extends pg.QueryResultRow {
  readonly outcome: "sleep" | "look_again";
  readonly wait_ms: number | null;
  readonly bookmark: unknown;
  readonly due_ms: number;
}

/** Calls look_v1: looks at the whole for calls that go on at a bookmark, which may run meanwhile. */
export async function look(
  pool: pg.Pool,
  schema: string,
  { worker, queues, tasks, slots, bookmark }: Claimant,
  patienceMs: number,
): Promise<Rest> {
  const text = `select outcome, wait_ms, bookmark, due_ms
    from ${schema}.look_v1($1, $2, $3, slots => $4, bookmark => $5)`;
  const values = [
    worker,
    queues ?? null,
    tasks,
    slots === undefined ? null : JSON.stringify(slots),
    bookmark.startLook(),
  ];
  let row: Row | undefined;
  try {
    [row] = await ask<Row>(pool, { text, values }, patienceMs);
  } finally {
    bookmark.endLook(row && { text: JSON.stringify(row.bookmark), waitMs: row.due_ms });
  }
  const lookAgain = row!.outcome === "look_again";
  if (!lookAgain) bookmark.slept();
  return { lookAgain, waitMs: row!.wait_ms };
}
