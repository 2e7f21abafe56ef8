import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { createRouse, type ManyJob, type Rouse } from "../../src/index.ts";
import { now } from "./clock.ts";
import { KEYS, WIDE } from "./limits.ts";
import type { Random } from "./random.ts";

/** Jobs in a transaction. */
const BATCH = 25;
/** Sources, each with a connection of its own. */
const SOURCES = 4;
/** Rest between two transactions of a source that is behind. */
const HURRY_MS = 5;
const UNIQUE_KEYS = 50;

interface Draft {
  readonly n: number;
  readonly job: ManyJob<string>;
}

/** Applications that enqueue, each job together with its row in the ledger. */
export class Load {
  /** Jobs that were rolled back on purpose: none of them may ever run. */
  rolledBack = 0;
  #next = 0;
  #committed = 0;
  #cancellable: readonly number[] = [];
  readonly #url: string;
  readonly #random: Random;
  readonly #rouse: Rouse;

  constructor(url: string, random: Random) {
    this.#url = url;
    this.#random = random;
    // Only for its types: each call is given a client.
    this.#rouse = createRouse({ connectionString: url });
  }

  /** Of which that is known; commits whose answer was lost are in the ledger or not. */
  get committed(): number {
    return this.#committed;
  }

  /** Enqueues so many jobs at that rate a second; what an outage delayed is made up for. */
  async run(jobs: number, rate: number): Promise<void> {
    const share = rate / SOURCES / BATCH;
    await Promise.all(Array.from({ length: SOURCES }, () => this.#source(jobs, share)));
    await this.#rouse.close();
  }

  async #source(jobs: number, batchesASecond: number): Promise<void> {
    let client: pg.Client | undefined;
    const from = now();
    for (let batch = 0; this.#committed < jobs; batch++) {
      const due = from + (batch * 1_000) / batchesASecond;
      const late = now() - due;
      await sleep(late > 0 ? HURRY_MS : -late);
      client ??= await this.#connect();
      if (client === undefined) {
        await sleep(100);
        continue;
      }
      try {
        await this.#transaction(client);
      } catch {
        // Committed or not: the ledger knows.
        await client.end().catch(() => {});
        client = undefined;
      }
    }
    await client?.end().catch(() => {});
  }

  async #connect(): Promise<pg.Client | undefined> {
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: "load",
      connectionTimeoutMillis: 5_000,
    });
    client.on("error", () => {});
    return await client.connect().then(
      () => client,
      () => undefined,
    );
  }

  async #transaction(client: pg.Client): Promise<void> {
    await client.query("begin");
    await this.#cancel(client);
    if (this.#random.chance(0.1)) {
      const dropped = this.#drafts();
      this.rolledBack += dropped.length;
      await client.query("savepoint one");
      await this.#enqueue(client, dropped);
      await client.query("rollback to savepoint one");
    }
    const created = await this.#enqueue(client, this.#drafts());
    if (this.#random.chance(0.05)) {
      this.rolledBack += created.length;
      await client.query("rollback");
      return;
    }
    await client.query("commit");
    this.#committed += created.length;
    this.#cancellable = created;
  }

  /** Now and then some of the jobs that were committed last: most of them have ended, some run, some wait. */
  async #cancel(client: pg.Client): Promise<void> {
    const ids = this.#cancellable.filter(() => this.#random.chance(0.02));
    if (ids.length === 0) return;
    await client.query(
      "insert into ledger.cancelled (job_id) select id from unnest($1::bigint[]) as t (id) where rouse.cancel(id)",
      [ids],
    );
  }

  /** @returns the ids of those that were created; a unique key may be taken. */
  async #enqueue(client: pg.Client, drafts: Draft[]): Promise<number[]> {
    const handles = await this.#rouse.enqueueMany(
      drafts.map(({ job }) => job),
      { client },
    );
    const created = drafts.flatMap((draft, index) =>
      handles[index]!.created ? [{ ...draft, id: handles[index]!.id }] : [],
    );
    await client.query(
      `insert into ledger.enqueued (n, job_id, task, unique_key, due_at, queue, concurrency_key)
       select t.n, j.id, j.task, j.unique_key, j.run_at, j.queue, j.concurrency_key
       from unnest($1::bigint[], $2::bigint[]) as t (n, id)
       join rouse.job as j using (id)`,
      [created.map(({ n }) => n), created.map(({ id }) => id)],
    );
    return created.map(({ id }) => id);
  }

  #drafts(): Draft[] {
    return Array.from({ length: BATCH }, () => {
      const n = ++this.#next;
      const { task, payload, ...options } = this.#draw();
      return { n, job: { task, payload: { n, ...payload }, ...options } };
    });
  }

  #draw(): Omit<ManyJob<string>, "payload"> & { readonly payload?: object } {
    const random = this.#random;
    const draft = this.#drawTask();
    // What its handler still does after ctx.transaction has committed is no part of its job: its key is free by then.
    const keyed = draft.task !== "effect" && random.chance(0.06);
    return {
      ...draft,
      ...(random.chance(0.1) ? { delay: Math.round(random.between(0, 5_000)) } : {}),
      ...(random.chance(0.1) ? { priority: random.below(11) - 5 } : {}),
      ...(random.chance(0.05) ? { queue: `queue ${random.below(3)}` } : {}),
      ...(random.chance(0.03) ? { uniqueKey: `key ${random.below(UNIQUE_KEYS)}` } : {}),
      ...(keyed ? { concurrencyKey: random.chance(0.2) ? WIDE.key : `key ${random.below(KEYS)}` } : {}),
    };
  }

  #drawTask(): { readonly task: string; readonly payload?: object } {
    const random = this.#random;
    const dice = random.next();
    if (dice < 0.2) return { task: "effect", payload: { ms: random.chance(0.02) ? 100 : 0 } };
    if (dice < 0.25) return { task: "slow", payload: { ms: Math.round(random.between(5, 150)) } };
    if (dice < 0.252) return { task: "slow", payload: { ms: Math.round(random.between(500, 5_000)) } };
    if (dice < 0.2522) return { task: "computing", payload: { ms: Math.round(random.between(50, 500)) } };
    if (dice < 0.28) return { task: "flaky", payload: { fails: 1 + random.below(3) } };
    if (dice < 0.29) return { task: "doomed" };
    if (dice < 0.3) return { task: "rated" };
    if (dice < 0.34) return { task: "batched" };
    return { task: "quick" };
  }
}
