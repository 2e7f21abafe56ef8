import type pg from "pg";
import { type AnyTask, defineTask } from "../tasks/define-task.ts";
import { checkOut } from "../worker/checkout.ts";

/** Rows of a command's result that are kept. */
const ROWS_KEPT = 100;

/**
 * The task behind schedules that run SQL.
 */
export function commandTask(pool: pg.Pool, schema: string): AnyTask {
  return defineTask("rouse.command", {
    async run(_payload, ctx) {
      const { rows } = await pool.query(`select * from ${schema}.command_v1($1)`, [ctx.job.id]);
      const { name, command, autocommit, stored_by } = rows[0] as Command;
      if (command === null) return { note: "the schedule was removed, or runs a task by now" };
      ctx.log.info("running SQL", { schedule: name, stored_by });

      const run = async (client: pg.ClientBase) => {
        const notices: string[] = [];
        const note = (notice: { message?: string | undefined }) => notices.push(notice.message ?? "");
        client.on("notice", note);
        try {
          const results = [await client.query(command)].flat();
          return { stored_by, notices, results: results.map(summary) };
        } finally {
          client.off("notice", note);
        }
      };
      if (!autocommit) return ctx.transaction(run);
      return withCancel(pool, ctx.signal, run);
    },
  });
}

interface Command {
  readonly name: string | null;
  readonly command: string | null;
  readonly autocommit: boolean | null;
  readonly stored_by: string | null;
}

function summary(result: pg.QueryResult): Record<string, unknown> {
  return { command: result.command, rows: result.rowCount, data: result.rows.slice(0, ROWS_KEPT) };
}

/** Runs on a connection of its own; an abort ends the connection, and with it the statement. */
async function withCancel<T>(
  pool: pg.Pool,
  signal: AbortSignal,
  run: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const { client, release } = await checkOut(pool);
  const abort = () => release(true);
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    const result = await run(client);
    release();
    return result;
  } catch (error) {
    release(true);
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
