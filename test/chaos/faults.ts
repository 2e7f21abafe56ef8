import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { OwnServer } from "../support/servers.ts";
import { now } from "./clock.ts";
import type { Fleet, Post } from "./fleet.ts";
import type { Random } from "./random.ts";

/** What faults are done to. */
export interface World {
  readonly server: OwnServer;
  readonly fleet: Fleet;
  /** Each server fault waits for the one before it. */
  serverTurn: Promise<unknown>;
}

interface Kind {
  readonly name: string;
  readonly weight: number;
  /** Seconds. */
  readonly lasts: readonly [from: number, to: number];
  /** Whom it strikes: one worker, the server, or the workers through the database. */
  readonly strikes: "worker" | "server" | "sessions";
  /** Milliseconds after which the worker, still running, may be taken for dead. */
  readonly patience?: number;
  /** Commits that did not wait for the disk may be forgotten. */
  readonly crash?: true;
  /** The server starts anew, as it does after a crash anyway. */
  readonly restart?: true;
  /** As long as it lasts the worker cannot come back to the server. */
  readonly absent?: true;
  /** How long after its end it still has its effect, in milliseconds. */
  readonly echo?: number;
  readonly run: (world: World, post: Post, last: () => Promise<void>) => Promise<unknown>;
}

/** A worker whose sessions ended is dead after 1.9 s; one that is silent after a lease of 30 s less what others saw late. */
const CUT_PATIENCE_MS = 1_800;
const SILENT_PATIENCE_MS = 19_000;
/** Time after which an exchange without an answer is given up. */
const SILENT_EXCHANGE_MS = 31_000;

const KINDS: readonly Kind[] = [
  worker("worker killed", 12, [0, 1.5], async (_world, post, last) => {
    await post.end("SIGKILL");
    await last();
    post.spawn();
  }),
  worker("worker stopped", 4, [0, 1], async (_world, post, last) => {
    await post.end("SIGTERM");
    await last();
    post.spawn();
  }),
  { ...worker("worker frozen", 5, [0.2, 10], freeze), absent: true },
  { ...worker("worker frozen past its lease", 1.5, [31, 38], freeze), patience: SILENT_PATIENCE_MS, absent: true },
  { ...worker("worker cut off for a moment", 5, [0, 1], cut), patience: CUT_PATIENCE_MS, absent: true },
  { ...worker("worker cut off", 4, [3, 10], cut), patience: CUT_PATIENCE_MS, absent: true },
  { ...worker("network stalled", 4, [0.5, 10], stall), absent: true },
  { ...worker("network stalled past the lease", 1, [31, 38], stall), patience: SILENT_PATIENCE_MS, absent: true },
  worker("listener silent", 4, [0, 0], async (_world, post) => post.proxy.silence("rouse listener")),
  { ...worker("heartbeat silent", 3, [0, 0], silentHeartbeat), echo: 12_000 },
  { ...worker("exchange silent", 2, [0, 0], silentExchange), echo: SILENT_EXCHANGE_MS },
  { ...sessions("sessions terminated", 3, [0, 0], terminate("%")), patience: CUT_PATIENCE_MS },
  sessions("listeners terminated", 2, [0, 0], terminate("rouse listener")),
  { ...sessions("heartbeats terminated", 2, [0, 0], terminate("rouse heartbeat")), patience: CUT_PATIENCE_MS },
  { ...sessions("queries cancelled", 4, [0, 0], cancelQueries), patience: CUT_PATIENCE_MS },
  sessions("rows locked", 5, [1, 4], held("select from rouse.job order by random() limit 100 for update skip locked")),
  sessions(
    "table locked",
    2,
    [0.2, 1.5],
    held("set local lock_timeout = '10s'; lock table rouse.job in access exclusive mode"),
  ),
  sessions("snapshot held", 3, [5, 25], held("set transaction isolation level repeatable read; select 1")),
  { ...server("server restarted", 1.5, [0, 3], restart), restart: true },
  { ...server("server stopped for a minute", 0.5, [60, 60], restart), restart: true },
  { ...server("server killed", 1.5, [0, 3], crash("SIGKILL")), crash: true },
  { ...server("server stopped at once", 1, [0, 3], crash("SIGQUIT")), crash: true },
  { ...server("session killed", 1.5, [0, 0], killSession), crash: true },
  server("server frozen", 2, [0.5, 6], async ({ server }, last) => {
    await server.freeze();
    await last();
    await server.thaw();
  }),
];

export const SERVER_SETTINGS = { max_connections: "300" };

export interface Fault {
  /** Milliseconds after the start of the run. */
  readonly at: number;
  readonly lasts: number;
  readonly kind: Kind;
  /** Which worker it strikes. */
  readonly post: number;
}

export interface FaultRecord {
  readonly kind: string;
  readonly process: string | undefined;
  readonly began: number;
  readonly ended: number;
  readonly patience: number | undefined;
  readonly crash: boolean;
  readonly restart: boolean;
  readonly absent: boolean;
}

/** Workers of a server that has just started have 10 s to come back, in which none of them is taken for dead. */
export const SETTLED_MS = 12_000;

/**
 * So many faults, spread over that time, none that would last for half of it. Long ones come early, so that the run does not have
 * to wait for them.
 */
export function planFaults(random: Random, count: number, spanMs: number, posts: number): Fault[] {
  const kinds = KINDS.filter(({ lasts: [, longest] }) => longest * 1_000 < spanMs / 2);
  const faults = Array.from({ length: count }, () => {
    const kind = random.weighted(kinds);
    const lasts = random.between(...kind.lasts) * 1_000;
    const at = SETTLED_MS + random.next() * Math.max(spanMs - SETTLED_MS - lasts, spanMs / 4);
    return { at, lasts, kind, post: random.below(posts) };
  });
  return faults.sort((a, b) => a.at - b.at);
}

export function describe({ at, lasts, kind, post }: Fault): string {
  const whom = kind.strikes === "worker" ? ` (${String.fromCharCode(97 + post)})` : "";
  return `${(at / 1_000).toFixed(1)} s: ${kind.name}${whom}${lasts > 0 ? `, ${(lasts / 1_000).toFixed(1)} s` : ""}`;
}

/** Does it, waits until it is over, and says what was done when. */
export async function inflict(world: World, { kind, lasts, post: index }: Fault): Promise<FaultRecord> {
  const post = world.fleet.posts[index]!;
  const process = kind.strikes === "worker" ? post.process : undefined;
  const began = now();
  await kind.run(world, post, async () => {
    await sleep(lasts);
  });
  return {
    kind: kind.name,
    process,
    began,
    ended: now() + (kind.echo ?? 0),
    patience: kind.patience,
    crash: kind.crash ?? false,
    restart: kind.restart ?? kind.crash ?? false,
    absent: kind.absent ?? false,
  };
}

function worker(name: string, weight: number, lasts: Kind["lasts"], run: Kind["run"]): Kind {
  return { name, weight, lasts, strikes: "worker", run };
}

function sessions(name: string, weight: number, lasts: Kind["lasts"], run: Kind["run"]): Kind {
  return { name, weight, lasts, strikes: "sessions", run };
}

function server(
  name: string,
  weight: number,
  lasts: Kind["lasts"],
  run: (world: World, last: () => Promise<void>) => Promise<unknown>,
): Kind {
  return {
    name,
    weight,
    lasts,
    strikes: "server",
    run: async (world, _post, last) => {
      world.serverTurn = world.serverTurn.then(() => run(world, last));
      await world.serverTurn;
    },
  };
}

async function freeze(_world: World, post: Post, last: () => Promise<void>): Promise<void> {
  post.freeze();
  await last();
  post.thaw();
}

async function cut(_world: World, { proxy }: Post, last: () => Promise<void>): Promise<void> {
  proxy.cut();
  await last();
  proxy.restore();
}

async function stall(_world: World, { proxy }: Post, last: () => Promise<void>): Promise<void> {
  proxy.stall();
  await last();
  proxy.resume();
}

async function silentHeartbeat(_world: World, { proxy }: Post): Promise<void> {
  proxy.silence("rouse heartbeat");
}

/** Of the connections that are open now, nothing arrives any more; new ones work. */
async function silentExchange(_world: World, { proxy }: Post): Promise<void> {
  proxy.silence("application_name\0rouse\0");
}

async function restart({ server }: World, last: () => Promise<void>): Promise<void> {
  await server.stop();
  await last();
  await server.start(SERVER_SETTINGS);
}

function crash(signal: NodeJS.Signals) {
  return async ({ server }: World, last: () => Promise<void>) => {
    await server.kill(signal);
    await last();
    await server.start(SERVER_SETTINGS);
  };
}

async function killSession(world: World): Promise<void> {
  await query(
    world,
    "select pid from pg_stat_activity where application_name = 'rouse' order by random() limit 1",
  ).then((rows) => {
    for (const { pid } of rows) world.server.killSession(pid as number);
  });
}

async function cancelQueries(world: World): Promise<void> {
  await query(world, "select pg_cancel_backend(pid) from pg_stat_activity where application_name like 'rouse%'");
}

function terminate(application: string) {
  return async (world: World) => {
    await query(
      world,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name like '${application}'`,
    );
  };
}

/** Holds what a query takes until the fault is over. */
function held(text: string): Kind["run"] {
  return async (world, _post, last) => {
    await withClient(world, async (client) => {
      await client.query(`begin; ${text}`);
      await last();
      await client.query("rollback");
    });
  };
}

async function query(world: World, text: string): Promise<Record<string, unknown>[]> {
  let rows: Record<string, unknown>[] = [];
  await withClient(world, async (client) => {
    rows = (await client.query(text)).rows;
  });
  return rows;
}

/** Where the server is down or the session is struck by another fault, this one is simply over. */
async function withClient({ server }: World, use: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({
    connectionString: server.url(),
    application_name: "chaos",
    connectionTimeoutMillis: 5_000,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    await use(client);
  } catch {
  } finally {
    await client.end().catch(() => {});
  }
}
