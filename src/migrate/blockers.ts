import type pg from "pg";
import { rows } from "./session.ts";

/** A session that holds a lock which a migration waits for. */
export interface Blocker {
  readonly pid: number;
  readonly role: string | null;
  readonly application: string | null;
  readonly state: string | null;
  readonly seconds: number | null;
  readonly query: string | null;
}

export interface BlockerWatch {
  /** Ends the connection and gives the last answer that named somebody. */
  stop(): Promise<readonly Blocker[]>;
}

/**
 * Asks again and again, on a connection of its own, who blocks the session with the given pid: the answer is to be had only
 * while that session waits.
 */
export function watchBlockers(client: pg.Client, pid: number, interval: number): BlockerWatch {
  let blockers: readonly Blocker[] = [];
  let asking: Promise<void> | null = null;
  let stopped: Promise<readonly Blocker[]> | null = null;
  const ask = async () => {
    const found = await rows<Blocker>(
      client,
      `select
         b.pid,
         a.usename as role,
         a.application_name as application,
         a.state,
         extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::float8 as seconds,
         pg_catalog.left(a.query, 100) as query
       from pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) as b(pid)
       left join pg_catalog.pg_stat_activity as a on a.pid = b.pid`,
      [pid],
    );
    if (found.length > 0) blockers = found;
  };
  const timer = setInterval(() => {
    asking ??= ask()
      .catch(() => {})
      .finally(() => {
        asking = null;
      });
  }, interval);
  const end = async () => {
    clearInterval(timer);
    await asking;
    await client.end();
    return blockers;
  };
  return {
    stop() {
      stopped ??= end();
      return stopped;
    },
  };
}

/** One sentence that names who blocks; undefined where nobody was seen. */
export function describeBlockers(blockers: readonly Blocker[]): string | undefined {
  if (blockers.length === 0) return undefined;
  return `Blocked by ${blockers.map(describe).join("; ")}.`;
}

function describe(blocker: Blocker): string {
  if (blocker.pid === 0) return "a prepared transaction (see pg_prepared_xacts)";
  const { pid, role, application, state, seconds, query } = blocker;
  const details = [
    role && `role ${role}`,
    application && `application ${application}`,
    state,
    seconds !== null && `in a transaction for ${Math.round(seconds)} s`,
    query && `last query: ${query.replace(/\s+/g, " ")}`,
  ];
  return `pid ${pid} (${details.filter(Boolean).join(", ")})`;
}
