/** For tests that speak to the engine as any SQL client does. */
import assert from "node:assert/strict";
import pg from "pg";
import type { TestDatabase } from "./database.ts";

/** A pool or a connection of its own. */
export type Session = Pick<pg.Pool, "query">;

/** What a claim hands out; ids are strings, as pg reads a bigint. */
export type Claimed = {
  id: string;
  lease: string;
  task: string;
  payload: unknown;
  queue: string;
  priority: number;
  attempt: number;
  run_at: Date;
};

export type ClaimOptions = { queues?: string[]; tasks?: string[]; most?: number; asOf?: string };

export async function rows<Row extends pg.QueryResultRow = Record<string, unknown>>(
  session: Session,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  return (await session.query<Row>(text, values)).rows;
}

/** The only column of the only row. */
export async function value<T>(session: Session, text: string, values: unknown[] = []): Promise<T> {
  const { rows: all } = await session.query({ text, values, rowMode: "array" });
  assert.equal(all.length, 1, `one row of ${text}`);
  return all[0]?.[0] as T;
}

export async function register(session: Session, name = "tester"): Promise<number> {
  return await value<number>(session, "select rouse.register_v1($1)", [name]);
}

/** A worker that has to be told of all that it could do. */
export async function sleeper(session: Session): Promise<void> {
  await session.query("select rouse.claim_v1(rouse.register_v1('sleeper'))");
}

export async function declare(session: Session, ...tasks: Record<string, unknown>[]): Promise<void> {
  await session.query("select rouse.declare_tasks_v1($1)", [JSON.stringify(tasks)]);
}

export async function enqueue(session: Session, task: string, options: Record<string, unknown> = {}): Promise<string> {
  const names = Object.keys(options);
  const given = names.map((name, n) => `, ${name} => $${n + 2}`).join("");
  return await value<string>(session, `select rouse.enqueue($1${given})`, [task, ...Object.values(options)]);
}

export async function claim(session: Session, worker: number, options: ClaimOptions = {}): Promise<Claimed[]> {
  const { queues = null, tasks = null, most = 1, asOf = null } = options;
  return await rows<Claimed>(
    session,
    "select * from rouse.claim_v1($1, $2, $3, $4, coalesce($5::timestamptz, clock_timestamp()))",
    [worker, queues, tasks, most, asOf],
  );
}

/** Claims the only job that can be claimed. */
export async function claimOne(session: Session, worker: number, options: ClaimOptions = {}): Promise<Claimed> {
  const claimed = await claim(session, worker, { most: 2, ...options });
  assert.equal(claimed.length, 1);
  return claimed[0]!;
}

/** Attempts that ended badly on purpose: the server's error, or a failure of the test where there is none. */
export async function refused(query: Promise<unknown>): Promise<pg.DatabaseError> {
  try {
    await query;
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error;
    throw error;
  }
  assert.fail("the server refused nothing");
}

/** Empties what a test before may have left. */
export async function clear(db: TestDatabase): Promise<void> {
  await empty(db, ["job", "archive", "attempt_error", "queue", "task", "worker", "sleeper"]);
}

/** By DELETE: of a few rows it takes 0.5 ms, where TRUNCATE makes new files for every partition and index in 50 ms. */
export async function empty(db: TestDatabase, tables: readonly string[]): Promise<void> {
  const deletes = tables.map((table) => `delete from rouse.${table}`);
  await db.query(["begin", "set local lock_timeout = '5s'", ...deletes, "commit"].join("; "));
}

export type Ear = {
  /** All that was notified since the last call by transactions that have ended. */
  heard(): Promise<Record<string, unknown>[]>;
};

/** Listens on the channel of the installation. */
export async function listen(db: TestDatabase): Promise<Ear> {
  const client = await db.connect();
  const channel = await value<string>(client, "select rouse.channel()");
  let hints: Record<string, unknown>[] = [];
  let end: (() => void) | undefined;
  client.on("notification", ({ payload = "" }) => {
    if (payload === "end") end?.();
    else hints.push(JSON.parse(payload));
  });
  await client.query(`listen ${channel}`);
  return {
    // Notifications arrive in the order of commits: the end comes after all that was committed before.
    async heard() {
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      await db.query("select pg_notify($1, 'end')", [channel]);
      await ended;
      const all = hints;
      hints = [];
      return all;
    },
  };
}

/** Resolves once the session waits for a lock of another one. */
export async function waitsForLock(db: TestDatabase, pid: number): Promise<void> {
  for (const giveUp = Date.now() + 60_000; Date.now() < giveUp; ) {
    if (await value<boolean>(db.pool, "select cardinality(pg_blocking_pids($1)) > 0", [pid])) return;
  }
  assert.fail(`session ${pid} waits for nobody`);
}

export async function pidOf(client: Session): Promise<number> {
  return await value<number>(client, "select pg_backend_pid()");
}
