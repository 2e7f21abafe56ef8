/** Calls of the engine by several clients, each done to the model too. */
import assert from "node:assert/strict";
import type pg from "pg";
import { rows, value } from "../support/engine.ts";
import type { End, Held, QueueModel } from "./queue-model.ts";

/** What calls are made on. */
export interface Real {
  readonly pool: pg.Pool;
  /** Of a client that holds rows locked in a transaction that it leaves open. */
  readonly locker: pg.Client;
  /** Start of the sequence, by the server's clock: hours count from here. */
  readonly start: number;
}

interface Client {
  readonly model: QueueModel;
  readonly real: Real;
}

/** Gives false where the call makes no sense now and was left out. */
export type Call = (client: Client) => Promise<unknown>;

const HOUR_MS = 3_600_000;
/** Due times are whole hours from the start, and the clock that a call is given half an hour later: none is both past and to come. */
const dueAt = ({ start }: Real, hours: number) => start + hours * HOUR_MS;
const clockAt = ({ start }: Real, hours: number) => start + (hours + 0.5) * HOUR_MS;
const timestamp = (ms: number) => new Date(ms).toISOString();

function nth<T>(items: Iterable<T>, n: number): T | undefined {
  const all = [...items];
  return all[n % all.length];
}

export const enqueue =
  (queue: string, priority: number, hours: number, maxAttempts: number, key: string | null): Call =>
  async ({ model, real }) => {
    const uniqueKey = key ?? undefined;
    const due = hours === 0 ? undefined : dueAt(real, hours);
    const job = { task: "any", queue, priority, max_attempts: maxAttempts, unique_key: uniqueKey };
    const [answer] = await rows<{ id: string; created: boolean }>(real.pool, "select * from rouse.enqueue_many($1)", [
      JSON.stringify([{ ...job, run_at: due && timestamp(due) }]),
    ]);
    const id = Number(answer!.id);
    const holder = model.holderOf(uniqueKey);
    assert.deepEqual([answer!.created, id], [holder === undefined, holder?.id ?? id]);
    if (holder !== undefined) return;
    model.add({ id, queue, priority, maxAttempts, uniqueKey, runAt: due ?? Date.now() }, clockAt(real, 0));
  };

export const claim =
  (n: number, queues: string[] | null, most: number, hours: number): Call =>
  async ({ model, real }) => {
    const worker = nth(model.workers.keys(), n);
    if (worker === undefined) return false;
    const asOf = clockAt(real, hours);
    const claimed = await rows<{ id: string; lease: string }>(
      real.pool,
      "select id, lease from rouse.claim_v1($1, $2, null, $3, $4)",
      [worker, queues, most, timestamp(asOf)],
    );
    take(model, claimed, worker, queues, most, asOf);
  };

function take(
  model: QueueModel,
  claimed: readonly { id: string; lease: string }[],
  worker: number,
  queues: string[] | null,
  most: number,
  asOf: number,
): void {
  if (most > 0) model.promote(asOf);
  const ids = claimed.map(({ id }) => Number(id));
  const expected = model.next(most, queues);
  if (model.locked.size === 0) {
    assert.deepEqual(ids, expected);
  } else {
    // A job that somebody holds leaves its place to the next of its own queue, which another queue's may be ahead of.
    assert.equal(ids.length, expected.length);
    for (const queue of new Set([...model.live.values()].map((job) => job.queue))) {
      const own = ids.filter((id) => model.live.get(id)?.queue === queue);
      const first = queues?.includes(queue) === false ? [] : model.next(own.length, [queue]);
      assert.deepEqual(own, first);
    }
  }
  for (const { id, lease } of claimed) {
    assert.ok(!model.held.some((held) => held.id === Number(id) && held.lease === lease), "a lease was given twice");
    model.claimed(Number(id), worker, lease);
  }
}

export interface EndDraw {
  readonly attempt: number;
  readonly kind: End["kind"];
  readonly retry: boolean;
  readonly hours: number;
}

/** The last attempts that were handed out come first. */
function drawn(
  { model, real }: Client,
  { attempt, kind, retry, hours }: EndDraw,
): { held: Held; end: End } | undefined {
  const held = nth(model.held.toReversed(), attempt);
  if (held === undefined) return undefined;
  return { held, end: kind === "fail" ? { kind, retry, retryAt: dueAt(real, hours) } : { kind } };
}

/** By the functions for one attempt, as a worker in another language does. */
export const finish =
  (draw: EndDraw): Call =>
  async (client) => {
    const { model, real } = client;
    const { held, end } = drawn(client, draw) ?? {};
    if (held === undefined || end === undefined) return false;
    // It would wait for the row, as the caller wants it to.
    if (end.kind === "complete" && model.locked.has(held.id)) return false;
    const [call, ...more] =
      end.kind === "complete"
        ? ["complete_v1($1, $2)"]
        : end.kind === "release"
          ? ["release_v1($1, $2, false)"]
          : ["fail_v1($1, $2, '\"why\"', $3, $4, false)", end.retry, timestamp(end.retryAt)];
    const answer = await value(real.pool, `select rouse.${call}`, [held.id, held.lease, ...more]);
    assert.equal(answer, model.end(held, end, clockAt(real, 0)));
  };

/** As Rouse's own worker does: ends of attempts go in, of each job one, and jobs come out. */
export const exchange =
  (n: number, draws: readonly EndDraw[], queues: string[] | null, most: number, hours: number): Call =>
  async (client) => {
    const { model, real } = client;
    const worker = nth(model.workers.keys(), n);
    if (worker === undefined) return false;
    const ends = new Map(draws.flatMap((draw) => drawn(client, draw) ?? []).map((end) => [end.held.id, end]));
    const of = <Kind extends End["kind"]>(kind: Kind) =>
      [...ends.values()].flatMap(({ held, end }) =>
        end.kind === kind ? [{ held, end: end as Extract<End, { kind: Kind }> }] : [],
      );
    const asOf = clockAt(real, hours);
    const answer = await rows<{ outcome: string; id: string; lease: string }>(
      real.pool,
      "select outcome, id, lease from rouse.exchange_v1($1, $2, null, $3, $4, $5, '{}', $6, $7, $8)",
      [
        worker,
        queues,
        most,
        of("complete").map(({ held }) => held.id),
        of("complete").map(({ held }) => held.lease),
        JSON.stringify(
          of("fail").map(({ held, end: { retry, retryAt } }) => ({
            ...held,
            error: "why",
            retry,
            retry_at: timestamp(retryAt),
          })),
        ),
        JSON.stringify(of("release").map(({ held }) => held)),
        timestamp(asOf),
      ],
    );
    const expected = [...of("complete"), ...byId(of("fail")), ...byId(of("release"))].map(({ held, end }) => ({
      id: held.id,
      outcome: model.end(held, end, clockAt(real, 0)),
      told: end.kind !== "complete",
    }));
    const told = answer.filter(({ outcome }) => !["claimed", "sleep", "look_again"].includes(outcome));
    const plain = (ends: { id: number; outcome: string }[]) => ends.map(({ id, outcome }) => `${id} ${outcome}`).sort();
    assert.deepEqual(
      plain(told.map(({ id, outcome }) => ({ id: Number(id), outcome }))),
      // Of completed attempts only those are told that were not.
      plain(expected.filter(({ outcome, told }) => told || outcome === "stale" || outcome === "busy")),
    );
    take(
      model,
      answer.filter(({ outcome }) => outcome === "claimed"),
      worker,
      queues,
      most,
      asOf,
    );
  };

const byId = <T extends { held: Held }>(ends: T[]): T[] => ends.sort((a, b) => a.held.id - b.held.id);

/** A call that takes the id of any job there ever was and says whether it did something. */
export const control =
  (name: "cancel" | "retry" | "purge", n: number): Call =>
  async ({ model, real }) => {
    const id = nth(model.ids, n);
    if (id === undefined || model.locked.has(id)) return false;
    const answer = await value(real.pool, `select rouse.${name}($1)`, [id]);
    assert.equal(answer, name === "retry" ? model.retry(id, Date.now()) : model[name](id));
  };

export const pause =
  (queue: string, paused: boolean): Call =>
  async ({ model, real }) => {
    await real.pool.query(`select rouse.${paused ? "pause" : "resume"}($1)`, [queue]);
    if (paused) model.paused.add(queue);
    else model.paused.delete(queue);
  };

export const promote =
  (hours: number): Call =>
  async ({ model, real }) => {
    await real.pool.query("select rouse.promote($1)", [timestamp(clockAt(real, hours))]);
    model.promote(clockAt(real, hours));
  };

export const register: Call = async ({ model, real }) => {
  model.workers.set(await value<number>(real.pool, "select rouse.register_v1('worker')"), 0);
};

export const beat =
  (n: number): Call =>
  async ({ model, real }) => {
    const worker = nth(model.workers.keys(), n);
    if (worker === undefined) return false;
    const known = await value(real.pool, "select known from rouse.beat_v1($1)", [worker]);
    assert.equal(known, !model.givenUp.has(worker));
    if (!known) return;
    model.workers.set(worker, model.workers.get(worker)! + 1);
    model.sweep(undefined, Date.now());
  };

/** Suspected with the count of beats as it is, a worker is dead; with an older one it has beaten since. */
export const sweep =
  (n: number, older: boolean): Call =>
  async ({ model, real }) => {
    const id = nth(model.workers.keys(), n);
    if (id === undefined) return false;
    const beats = model.workers.get(id)! - (older ? 1 : 0);
    const handedOver = await value(real.pool, "select rouse.sweep($1)", [JSON.stringify([{ id, beats }])]);
    assert.equal(handedOver, model.sweep(older ? undefined : id, Date.now()));
  };

export const deregister =
  (n: number): Call =>
  async ({ model, real }) => {
    const worker = nth(model.workers.keys(), n);
    if (worker === undefined || model.runningOf(worker).some(({ id }) => model.locked.has(id))) return false;
    await real.pool.query("select rouse.deregister_v1($1)", [worker]);
    for (const { id, lease } of model.runningOf(worker))
      model.end({ id, lease: lease! }, { kind: "release" }, clockAt(real, 0));
    model.workers.delete(worker);
  };

export const lock =
  (n: number): Call =>
  async ({ model, real }) => {
    const id = nth(model.live.keys(), n);
    if (id === undefined) return false;
    await real.locker.query("select from rouse.job where id = $1 for update", [id]);
    model.locked.add(id);
  };

export const unlock: Call = async ({ model, real }) => {
  await real.locker.query("rollback; begin");
  model.locked.clear();
};
