import { afterEach } from "node:test";
import {
  type AnyTask,
  createRouse,
  defineTask,
  type JobContext,
  type Rouse,
  type RouseOptions,
} from "../../src/index.ts";
import type { TestDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { TestLog } from "../support/log.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";

export interface TestRouse extends Rouse {
  readonly log: TestLog;
}

/** Makes clients of the database of a test file; they are closed, and their workers stopped, after each test. */
export function useRouse(
  db: Pick<TestDatabase, "url">,
): (tasks: AnyTask[], options?: Omit<RouseOptions, "tasks" | "log">) => TestRouse {
  const open: Rouse[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((rouse) => rouse.close()));
  });
  return (tasks, options) => {
    const log = new TestLog();
    const address = options?.pool === undefined ? { connectionString: db.url } : {};
    const rouse = createRouse({ ...address, ...options, tasks, log });
    open.push(rouse);
    return Object.assign(rouse, { log });
  };
}

/** A task whose handlers wait for the test; an attempt that failed is followed by the next at once. */
export function held() {
  const running = new Tally<JobContext>();
  const finish = new Latch<unknown>();
  const task = defineTask("held", {
    retry: { backoff: "fixed", base: 0 },
    run: (_payload, ctx) => {
      running.add(ctx);
      return finish.opened;
    },
  });
  return { running, finish, task };
}

/** Lets the test use the database through a proxy, by that URL. */
export async function throughProxy(
  db: Pick<TestDatabase, "url">,
  use: (proxy: TcpProxy, url: string) => Promise<void>,
): Promise<void> {
  const proxy = await TcpProxy.start(db.url);
  try {
    await use(proxy, proxy.through(db.url));
  } finally {
    await proxy.stop();
  }
}

/**
 * Beats so far, of all workers or of those with that name. Equal before and after something: no beat had a part in it. How
 * many there were tells how long it took, on the clock of a machine that may be slow.
 */
export async function beats(db: TestDatabase, name = "%"): Promise<number> {
  const [row] = await db.query<{ beats: string }>(
    "select coalesce(sum(beats), 0) as beats from rouse.worker where name like $1",
    [name],
  );
  return Number(row!.beats);
}

/** Does something until no beat came meanwhile, so that none had a part in it. */
export async function betweenBeats(db: TestDatabase, act: () => Promise<void>): Promise<void> {
  for (let tries = 0; tries < 10; tries++) {
    const before = await beats(db);
    await act();
    if ((await beats(db)) === before) return;
  }
  throw new Error("each time a beat came meanwhile: without one it does not happen");
}

/** From then on beats say that their workers live and hear, and nothing else: what waits for one waits for ever. */
export async function blindBeats(db: TestDatabase): Promise<void> {
  await db.query(`
    alter function rouse.beat_v1 rename to seeing_beat;
    create function rouse.beat_v1(
      worker integer, suspects jsonb, stuck integer,
      out known boolean, out ready boolean, out wait_ms double precision, out busy boolean, out long_held bigint,
      out lease_ms double precision, out peers jsonb, out trouble text, out cancels boolean
    )
      language sql
    begin atomic
      select pg_notify(rouse.channel(), json_build_object('probe', worker)::text);
      update rouse.worker as w
      set beats = beats + 1, beat_at = clock_timestamp()
      where w.id = beat_v1.worker
      returning true, false, null::double precision, true, 0, 30000, '[]'::jsonb, null, false;
    end`);
}

/** Makes beats come every 0.83 s, for tests of what they do. */
export async function shortLease(db: TestDatabase): Promise<void> {
  await db.query("update rouse.setting set lease = '5 seconds'");
}

/** Lets a database made just now count as one on a server that has run for long. */
export async function settle(db: TestDatabase): Promise<void> {
  await db.query("delete from rouse.server_run");
  await db.query("insert into rouse.server_run values (pg_postmaster_start_time(), now() - interval '1 hour')");
}

export interface ArchivedJob {
  readonly state: string;
  readonly attempt: number;
  readonly result: unknown;
  readonly worker_id: number;
  readonly task: string;
}

/** The finished job of that id; undefined while it is not. */
export async function archived(db: TestDatabase, id: number): Promise<ArchivedJob | undefined> {
  const [job] = await db.query<ArchivedJob & Record<string, unknown>>(
    "select state, attempt, result, worker_id, task from rouse.archive where id = $1",
    [id],
  );
  return job;
}

/** Messages of the failed attempts of a job, in order. */
export async function errorsOf(db: TestDatabase, id: number): Promise<string[]> {
  const rows = await db.query<{ message: string }>(
    "select message from rouse.attempt_error where job_id = $1 order by attempt, failed_at",
    [id],
  );
  return rows.map(({ message }) => message);
}

/** Ends the sessions of that application on the database; how many there were. */
export async function terminate(db: TestDatabase, application = "%"): Promise<number> {
  const rows = await db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and application_name like $1`,
    [application],
  );
  return rows.length;
}
