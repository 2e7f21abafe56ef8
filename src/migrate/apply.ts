import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { type Blocker, type BlockerWatch, describeBlockers, watchBlockers } from "./blockers.ts";
import { MigrationError, sqlstate } from "./errors.ts";
import type { Install, Migration } from "./files.ts";
import { pendingMigrations, readHistory } from "./history.ts";
import { checkDirect } from "./preflight.ts";
import { type Place, runAlone, runInTransaction } from "./run.ts";
import { migrationLockKey } from "./schema.ts";
import { type Queryable, row } from "./session.ts";

/**
 * A migration waits this long for the lock of a table. While it waits, writers of that table queue behind it, so it is short;
 * what does not get its lock is rolled back and tried again after a pause.
 */
const lockTimeout = 1000;
const lockTries = 30;
const longestPause = 3000;
/** Somebody else migrates: look again after this many milliseconds, and say so every so often. */
const busyPause = 200;
const busyNotice = 10_000;

export interface ApplyOptions {
  readonly client: Queryable;
  readonly schema: string;
  readonly install: Install;
  readonly migrations: readonly Migration[];
  readonly log: (line: string) => void;
  /** Opens a second connection that finds out who blocks; null where only the caller's client is known. */
  readonly openSecond: (() => Promise<pg.Client>) | null;
  readonly lockTimeout?: number | undefined;
  readonly lockTries?: number | undefined;
}

/** How one step ended: a file was applied, nothing was left to do, or somebody else is at it. */
type Step = { readonly applied: Migration } | "nothing" | "busy";

/**
 * Applies what is missing, one file a step, and gives the files that this call applied.
 *
 * Every step takes the advisory lock and reads the history again under it, in its own transaction: of two processes one does
 * the work and the other finds nothing left. The lock is tried and never waited for inside of the database: a session that
 * waits holds a snapshot, and CREATE INDEX CONCURRENTLY in the session it waits for would wait for that snapshot in turn.
 */
export async function applyPending(options: ApplyOptions): Promise<Migration[]> {
  const { client, schema, migrations, log } = options;
  const applied: Migration[] = [];
  let notice = Date.now();
  while (pendingMigrations(await readHistory(client, schema), migrations, schema).length > 0) {
    const start = performance.now();
    const result = await tryStep(options);
    if (result === "nothing") break;
    if (result === "busy") {
      if (Date.now() >= notice) {
        log("another process is migrating this schema, waiting for it");
        notice = Date.now() + busyNotice;
      }
      await sleep(busyPause);
    } else {
      applied.push(result.applied);
      log(`applied ${result.applied.file} in ${Math.round(performance.now() - start)} ms`);
    }
  }
  return applied;
}

/** One step, tried again while a table's lock cannot be had. */
async function tryStep(options: ApplyOptions): Promise<Step> {
  const tries = options.lockTries ?? lockTries;
  const timeout = options.lockTimeout ?? lockTimeout;
  let blockers: readonly Blocker[] = [];
  for (let attempt = 1; ; attempt++) {
    // The first try goes without the second connection: in most migrations nobody blocks.
    const watcher = attempt > 1 ? await openWatcher(options, timeout / 4) : null;
    try {
      return await step(options, timeout);
    } catch (error) {
      if (!isLockError(error)) throw error;
      blockers = (await watcher?.stop()) ?? blockers;
      const who = describeBlockers(blockers);
      if (attempt >= tries) {
        throw new MigrationError(
          `A migration could not get a lock in ${tries} tries of ${timeout} ms; nothing of it was applied. ` +
            `${who ?? "Find the session that holds it with pg_locks and pg_blocking_pids()."} ` +
            "End that transaction and migrate again.",
          { cause: error },
        );
      }
      options.log(`waiting for a lock, try ${attempt} of ${tries}${who ? `. ${who}` : ""}`);
      await sleep(Math.min(longestPause, 100 * 2 ** attempt) * (0.5 + Math.random() / 2));
    } finally {
      await watcher?.stop();
    }
  }
}

/** lock_not_available and deadlock_detected. */
function isLockError(error: unknown): boolean {
  return sqlstate(error) === "55P03" || sqlstate(error) === "40P01";
}

async function openWatcher(options: ApplyOptions, interval: number): Promise<BlockerWatch | null> {
  if (!options.openSecond) return null;
  const { pid } = await row<{ pid: number }>(options.client, "select pg_catalog.pg_backend_pid() as pid");
  // A server that has no connection left should not keep the migration from going on.
  const second = await options.openSecond().catch(() => null);
  return second && watchBlockers(second, pid, interval);
}

async function step(options: ApplyOptions, timeout: number): Promise<Step> {
  const { client, schema, install, migrations } = options;
  const key = migrationLockKey(schema);
  const place: Place = { client, schema, install };
  const findNext = async () => {
    const history = await readHistory(client, schema);
    return { history, next: pendingMigrations(history, migrations, schema)[0] };
  };
  // Read committed, so that what another process committed before it gave the lock away is seen.
  await client.query("begin isolation level read committed, read write");
  let alone: Migration;
  try {
    if (!(await tryLock(client, "pg_try_advisory_xact_lock", key))) {
      await client.query("rollback");
      return "busy";
    }
    const { history, next } = await findNext();
    if (next?.transaction) {
      await runInTransaction(place, next, history !== null, timeout);
      await client.query("commit");
      return { applied: next };
    }
    await client.query("rollback");
    if (!next) return "nothing";
    alone = next;
  } catch (error) {
    // The connection may be gone; the first error is the one that tells.
    await client.query("rollback").catch(() => {});
    throw error;
  }
  await checkDirect(client);
  if (!(await tryLock(client, "pg_try_advisory_lock", key))) return "busy";
  try {
    const { next } = await findNext();
    if (next?.number !== alone.number) return "busy";
    await runAlone(place, next);
    return { applied: next };
  } finally {
    await client.query("select pg_catalog.pg_advisory_unlock($1)", [key]).catch(() => {});
  }
}

async function tryLock(client: Queryable, lock: string, key: string): Promise<boolean> {
  const { locked } = await row<{ locked: boolean }>(client, `select pg_catalog.${lock}($1) as locked`, [key]);
  return locked;
}
