import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { until } from "../support/until.ts";

export interface StressOptions {
  readonly url: string;
  readonly producers: number;
  readonly workers: number;
  readonly seconds: number;
}

const INSERT = "insert into rouse.job (task, run_at) values ('stress', clock_timestamp() + $1 * interval '1 ms')";
const EXCHANGE = "select outcome, id, lease, wait_ms from rouse.exchange_v1($1, null, null, 1, $2, $3)";

/**
 * Rounds in which producers commit or roll back at random times, while workers fall asleep whenever they find nothing and
 * say that they are awake whenever they find something. The workers make no beats, so that nothing covers a lost wake:
 * the round in which one is lost ends with a job that nobody takes.
 *
 * @throws Error in that case. @returns how many jobs ran.
 */
export async function stress({ url, producers, workers, seconds }: StressOptions): Promise<number> {
  const clients: pg.Client[] = [];
  const connect = async () => {
    const client = new pg.Client({ connectionString: url });
    clients.push(client);
    await client.connect();
    return client;
  };
  const control = await connect();
  const sessions = await Promise.all(Array.from({ length: producers }, connect));
  const stop = new AbortController();
  const running = await Promise.all(
    Array.from({ length: workers }, async () => await startWorker(await connect(), await connect(), stop.signal)),
  );
  try {
    for (const end = Date.now() + seconds * 1_000; Date.now() < end; ) {
      await Promise.all(sessions.map(produce));
      const left = async () => (await control.query("select count(*)::integer as jobs from rouse.job")).rows[0].jobs;
      await until(async () => (await left()) === 0, { message: "all jobs are taken: a wake-up was lost" });
    }
  } finally {
    stop.abort();
    await Promise.all(running.map(({ ended }) => ended));
    await Promise.all(clients.map((client) => client.end()));
  }
  return running.reduce((sum, { ran }) => sum + ran(), 0);
}

/** One transaction, of random length, shape and end; now and then it only holds a ready job for a while. */
async function produce(client: pg.Client): Promise<void> {
  const pause = () => (chance(0.5) ? undefined : sleep(Math.random() * 30));
  await pause();
  await client.query("begin");
  if (chance(0.2)) {
    await client.query("select from rouse.job where state = 'ready' limit 1 for update skip locked");
    await pause();
    await client.query("rollback");
    return;
  }
  if (chance(0.3)) {
    await client.query("savepoint s");
    await client.query(INSERT, [delay()]);
    await pause();
    await client.query("rollback to s");
  }
  await client.query(INSERT, [delay()]);
  await pause();
  if (chance(0.3)) await client.query(INSERT, [delay()]);
  await client.query(chance(0.2) ? "rollback" : "commit");
}

async function startWorker(client: pg.Client, listener: pg.Client, stop: AbortSignal) {
  const [{ worker, channel }] = (
    await client.query("select rouse.register_v1('stress') as worker, rouse.channel() as channel")
  ).rows;
  let heard = new AbortController();
  listener.on("notification", () => heard.abort());
  stop.addEventListener("abort", () => heard.abort());
  await listener.query(`listen ${channel}`);
  let ran = 0;

  const work = async () => {
    const done = new Map<string, string>();
    while (!stop.aborted) {
      heard = new AbortController();
      const { rows } = await client.query(EXCHANGE, [worker, [...done.keys()], [...done.values()]]);
      const claimed = rows.filter(({ outcome }) => outcome === "claimed");
      // A producer holds it locked for a moment, which it took while the job was ready.
      const busy = new Set(rows.filter(({ outcome }) => outcome === "busy").map(({ id }) => id));
      for (const id of done.keys()) if (!busy.has(id)) done.delete(id);
      for (const { id, lease } of claimed) done.set(id, lease);
      ran += claimed.length;
      if (claimed.length > 0) {
        if (chance(0.5)) await client.query("select rouse.awake_v1($1)", [worker]);
        if (chance(0.5)) await sleep(Math.random() * 5);
        continue;
      }
      const { outcome, wait_ms } = rows.at(-1);
      const most = outcome === "look_again" || busy.size > 0 ? 20 : 2 ** 31 - 1;
      await sleep(Math.ceil(Math.min(wait_ms ?? most, most)), undefined, { signal: heard.signal }).catch(() => {});
    }
  };
  return { ended: work(), ran: () => ran };
}

/** Mostly due at once, else within a tenth of a second. */
function delay(): number {
  return chance(0.7) ? 0 : Math.random() * 100;
}

function chance(probability: number): boolean {
  return Math.random() < probability;
}
