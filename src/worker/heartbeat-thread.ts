import { parentPort, workerData } from "node:worker_threads";
import pg from "pg";
import { isPooled } from "../client/pooler.ts";
import { primaryOf } from "../client/primary.ts";
import { Backoff } from "./backoff.ts";
import type { FromHeartbeat, HeartbeatData, ToHeartbeat } from "./heartbeat-messages.ts";
import { Peers } from "./peers.ts";
import { within } from "./within.ts";

/**
 * The heart of a worker process, in a thread of its own so that no handler can stop it, however long it
 * computes. One session holds the worker's lock, whose end is the sign of its death, and beats.
 */

const BEAT_IDLE_MS = 4_300;
const BEAT_BUSY_MS = 2_000;
/** Beats in a lease, at least: with a short lease they are quicker. */
const BEATS_A_LEASE = 6;
/** Longest wait for an answer; with a short lease a third of it, so that there is time to connect again. */
const ANSWER_TIMEOUT_MS = 8_000;

interface BeatAnswer {
  readonly known: boolean;
  readonly ready: boolean;
  readonly wait_ms: number | null;
  readonly busy: boolean;
  readonly long_held: string;
  readonly lease_ms: number;
  readonly peers: readonly { readonly id: number; readonly beats: number }[];
  readonly trouble: string | null;
  readonly cancels: boolean;
}

const { schema } = workerData as HeartbeatData;
let { addresses, worker, trusted } = workerData as HeartbeatData;
const backoff = new Backoff();
const peers = new Peers();
let stuck = 0;
let leaseMs = 30_000;
/** The worker whose lock the session holds. */
let holding: number | undefined;
/** A pooler stands between: unless it is trusted its sessions are shared, and a lock would outlive the worker. */
let pooled = false;
let stopped = false;
let active = false;

/** The rest until the next beat, if it is under way. */
let rest: { readonly until: number; timer: NodeJS.Timeout; readonly end: () => void } | undefined;

parentPort!.on("message", receive);
void live().then(() => process.exit(0));

/** Connects and beats, over however many connections that takes. */
async function live(): Promise<void> {
  while (!stopped) {
    const why = await primaryOf(addresses).then(beatAt, (error: Error) => error);
    if (stopped) return;
    post({ kind: "lost", reason: why.message, first: backoff.attempts === 0 });
    peers.lookAway();
    holding = undefined;
    await pause(backoff.next());
  }
}

async function beatAt(address: pg.ClientConfig): Promise<Error> {
  const session = new pg.Client({
    ...address,
    application_name: "rouse heartbeat",
    connectionTimeoutMillis: patienceMs(),
    query_timeout: ANSWER_TIMEOUT_MS,
    keepAlive: true,
  });
  const why = await beatOver(session);
  await end(session);
  return why;
}

/** Beats until the session fails, and says why it did. */
async function beatOver(session: pg.Client): Promise<Error> {
  let failure: Error | undefined;
  const lost = (error?: Error) => {
    failure ??= error ?? new Error("the connection was ended");
    rest?.end();
  };
  session.on("error", lost);
  session.on("end", () => lost());
  try {
    await session.connect();
    pooled = await isPooled(session);
    while (!stopped && failure === undefined) {
      const wait = await beat(session);
      backoff.reset();
      await pause(wait);
    }
  } catch (error) {
    failure ??= error as Error;
  }
  return failure ?? new Error("stopped");
}

/** One beat; gives the time until the next. */
async function beat(session: pg.Client): Promise<number> {
  const beating = worker;
  active = false;
  if (holding !== beating && (!pooled || trusted)) {
    const { held } = await ask<{ held: boolean }>(session, `select ${schema}.hold_v1($1) as held`, [beating]);
    if (held) holding = beating;
  }
  const suspects = JSON.stringify(peers.suspects(performance.now()));
  const answer = await ask<BeatAnswer>(session, `select * from ${schema}.beat_v1($1, $2, $3)`, [
    beating,
    suspects,
    stuck,
  ]);
  if (beating !== worker) return 0;
  if (!answer.known) {
    post({ kind: "unknown", worker });
    return BEAT_BUSY_MS;
  }
  const { ready, wait_ms: waitMs, trouble, cancels } = answer;
  leaseMs = answer.lease_ms;
  post({ kind: "beat", ready, waitMs, longHeld: Number(answer.long_held), leaseMs, trouble, cancels, pooled });
  const longest = leaseMs / BEATS_A_LEASE;
  const idle = Math.min(BEAT_IDLE_MS, longest);
  const busy = Math.min(BEAT_BUSY_MS, longest);
  // What is seen of a peer is up to a beat old, and the suspicion is told with the next one.
  const between = idle + busy;
  peers.observe(answer.peers, performance.now(), leaseMs - between, between);
  return answer.busy || active ? busy : idle;
}

/** The only row of the answer. */
async function ask<Row>(session: pg.Client, text: string, values: unknown[]): Promise<Row> {
  const query = { text, values, query_timeout: patienceMs() };
  const { rows } = await session.query(query);
  return rows[0] as Row;
}

function patienceMs(): number {
  return Math.min(ANSWER_TIMEOUT_MS, leaseMs / 3);
}

/** Waits, unless there is a reason to go on at once. */
async function pause(ms: number): Promise<void> {
  if (stopped) return;
  await new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(rest?.timer);
      rest = undefined;
      resolve();
    };
    rest = { until: performance.now() + ms, timer: setTimeout(end, ms), end };
  });
}

/** Ending a session that is half dead may never come back. */
async function end(session: pg.Client): Promise<void> {
  await within(
    1_000,
    session.end().catch(() => {}),
  );
}

function post(message: FromHeartbeat): void {
  parentPort!.postMessage(message);
}

function receive(message: ToHeartbeat): void {
  switch (message.kind) {
    case "worker":
      worker = message.worker;
      rest?.end();
      break;
    case "active":
      active = true;
      if (rest !== undefined && rest.until > performance.now() + BEAT_BUSY_MS) {
        clearTimeout(rest.timer);
        rest.timer = setTimeout(rest.end, BEAT_BUSY_MS);
      }
      break;
    case "stuck":
      stuck = message.stuck;
      break;
    case "addresses":
      addresses = message.addresses;
      break;
    case "trust":
      trusted = true;
      rest?.end();
      break;
    case "stop":
      stopped = true;
      rest?.end();
      break;
  }
}
