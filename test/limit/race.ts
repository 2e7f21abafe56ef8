import assert from "node:assert/strict";
import pg from "pg";

/** How often the next job of the key went to the worker that finished one, to the one that looked for work, or to a second look. */
export interface RaceOutcome {
  finisher: number;
  looker: number;
  later: number;
}

type Job = { id: string; lease: string };

/** A call takes about a millisecond: the others begin before, in and after all that the first one does. */
const MOST_APART_MS = 1.2;

/** Ways to end an attempt: with a claim in the same call, without one as a worker that stops, and without any admission. */
const WAYS = ["exchange", "stopping", "complete"] as const;

/**
 * Two workers that pass the slot of one key to and fro. In each try the one that has it finishes, the other looks for
 * work, and a client adds a job of the key, all at about the same instant: so either worker has the key's lane to itself
 * while the other one's arrival comes. Half of the tries find no other job behind the one that ends.
 *
 * @throws AssertionError where both get a job, or where nobody does and nothing says that there is one; and whatever error
 * the server has, such as a deadlock.
 */
export async function race(url: string, tries: number): Promise<RaceOutcome> {
  const clients = Array.from({ length: 3 }, () => new pg.Client(url));
  const outcome: RaceOutcome = { finisher: 0, looker: 0, later: 0 };
  try {
    for (const client of clients) await client.connect();
    const [one, two, producer] = clients as [pg.Client, pg.Client, pg.Client];
    const enqueue = () =>
      producer.query({ name: "enqueue", text: "select rouse.enqueue('race', concurrency_key => 'one')" });
    const registered = async (client: pg.Client) => ({
      client,
      id: (await client.query("select rouse.register_v1('race') as id")).rows[0].id as number,
    });
    let [holder, other] = [await registered(one), await registered(two)];
    type Worker = typeof holder;
    const exchange = async ({ client, id }: Worker, done: readonly Job[], most = 1) => {
      const { rows } = await client.query<Job & { outcome: string }>({
        name: "exchange",
        text: "select outcome, id, lease from rouse.exchange_v1($1, null, null, $2, $3, $4)",
        values: [id, most, done.map((job) => job.id), done.map(({ lease }) => lease)],
      });
      assert.ok(!rows.some((row) => row.outcome === "stale" || row.outcome === "busy"), "every end is accepted");
      return rows.filter((row) => row.outcome === "claimed");
    };
    const finish = async (worker: Worker, [job]: readonly Job[], way: (typeof WAYS)[number]) => {
      if (way !== "complete") return exchange(worker, [job!], way === "exchange" ? 1 : 0);
      await worker.client.query("select rouse.complete_v1($1, $2)", [job!.id, job!.lease]);
      return [];
    };

    await enqueue();
    let held = await exchange(holder, []);
    for (let n = 0; n < tries; n++) {
      if (n === Math.floor(tries / 2)) await enqueue();
      assert.equal(held.length, 1, `try ${n}: one job has the slot`);
      const [finished, looked] = await together(
        () => finish(holder, held, WAYS[n % WAYS.length]!),
        () => exchange(other, []),
        () => enqueue(),
      );
      assert.ok(finished.length + looked.length <= 1, `try ${n}: one job runs at a time`);
      if (finished.length === 1) outcome.finisher += 1;
      else if (looked.length === 1) outcome.looker += 1;
      else outcome.later += 1;

      if (finished.length === 0) [holder, other] = [other, holder];
      held = [...finished, ...looked];
      if (held.length > 0) continue;
      // What tells workers to look again.
      const { rows } = await producer.query(
        `select exists (select from rouse.arrival) or exists (select from rouse.job where state = 'ready') as told`,
      );
      assert.equal(rows[0].told, true, `try ${n}: a blocked job is forgotten`);
      held = await exchange(holder, []);
    }
  } finally {
    for (const client of clients) await client.end();
  }
  return outcome;
}

/** Begins all three, in any order, so much apart as no timer measures. */
async function together<A, B>(
  finish: () => Promise<A>,
  look: () => Promise<B>,
  enqueue: () => Promise<unknown>,
): Promise<[A, B]> {
  const start = performance.now();
  const calls: Promise<unknown>[] = [];
  const due = [finish, look, enqueue].map((call, n) => ({ call, n, at: start + Math.random() * MOST_APART_MS }));
  for (const { call, n, at } of due.sort((a, b) => a.at - b.at)) {
    while (performance.now() < at);
    calls[n] = call();
  }
  const [finished, looked] = await Promise.all(calls);
  return [finished as A, looked as B];
}
