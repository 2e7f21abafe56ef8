/** The state machine of jobs as the documentation tells it, in memory: what the engine does is held against it. */

export interface Job {
  readonly id: number;
  state: "scheduled" | "ready" | "running";
  attempt: number;
  readonly maxAttempts: number;
  readonly priority: number;
  readonly queue: string;
  /** Milliseconds since 1970; where the engine reads its own clock, about then, and from the next look on exactly. */
  runAt: number;
  worker: number | undefined;
  lease: string | undefined;
  readonly uniqueKey: string | undefined;
  cancelAsked: boolean;
}

export type Ended = "succeeded" | "failed" | "cancelled";

/** An attempt that was once handed out; it may long have been taken away again. */
export interface Held {
  readonly id: number;
  readonly lease: string;
}

/** A call that ends an attempt. */
export type End =
  | { readonly kind: "complete" }
  | { readonly kind: "release" }
  | { readonly kind: "fail"; readonly retry: boolean; readonly retryAt: number };

export class QueueModel {
  readonly live = new Map<number, Job>();
  readonly ended = new Map<number, Job & { readonly ended: Ended }>();
  readonly paused = new Set<string>();
  /** Registered workers and how often each has beaten. */
  readonly workers = new Map<number, number>();
  /** Those taken for dead of which a job, held locked, has still to be handed over. */
  readonly givenUp = new Set<number>();
  /** Rows that an open transaction of somebody else holds. */
  readonly locked = new Set<number>();
  readonly held: Held[] = [];
  /** Of all jobs there ever were, those that were purged included. */
  readonly ids: number[] = [];

  add(job: Omit<Job, "state" | "attempt" | "worker" | "lease" | "cancelAsked">, now: number): void {
    this.ids.push(job.id);
    const state = job.runAt > now ? "scheduled" : "ready";
    this.live.set(job.id, { ...job, state, attempt: 0, worker: undefined, lease: undefined, cancelAsked: false });
  }

  holderOf(uniqueKey: string | undefined): Job | undefined {
    if (uniqueKey === undefined) return undefined;
    return [...this.live.values()].find((job) => job.uniqueKey === uniqueKey);
  }

  promote(asOf: number): void {
    for (const job of this.live.values()) {
      if (job.state === "scheduled" && job.runAt <= asOf && !this.locked.has(job.id)) job.state = "ready";
    }
  }

  /** Ids of the jobs that a claim hands out next, in that order. */
  next(most: number, queues: readonly string[] | null): number[] {
    return [...this.live.values()]
      .filter(
        ({ id, state, queue }) =>
          state === "ready" && !this.locked.has(id) && !this.paused.has(queue) && (queues?.includes(queue) ?? true),
      )
      .sort((a, b) => b.priority - a.priority || a.runAt - b.runAt || a.id - b.id)
      .slice(0, most)
      .map(({ id }) => id);
  }

  claimed(id: number, worker: number, lease: string): void {
    const job = this.live.get(id)!;
    Object.assign(job, { state: "running", attempt: job.attempt + 1, worker, lease });
    this.held.push({ id, lease });
  }

  /** @returns what the call answers. */
  end({ id, lease }: Held, end: End, now: number): string {
    const job = this.live.get(id);
    if (job?.lease !== lease) return "stale";
    if (this.locked.has(id)) return "busy";
    if (job.cancelAsked) return this.#finish(job, "cancelled");
    if (end.kind === "complete") return this.#finish(job, "succeeded");
    if (end.kind === "release") return this.#wait(job, job.runAt, job.attempt - 1, now);
    if (!end.retry || job.attempt >= job.maxAttempts) return this.#finish(job, "failed");
    return this.#wait(job, end.retryAt, job.attempt, now);
  }

  cancel(id: number): boolean {
    const job = this.live.get(id);
    if (job === undefined) return false;
    if (job.state === "running") job.cancelAsked = true;
    else this.#finish(job, "cancelled");
    return true;
  }

  retry(id: number, now: number): boolean {
    const waiting = this.live.get(id);
    if (waiting !== undefined) {
      if (waiting.state !== "scheduled" || waiting.attempt === 0) return false;
      Object.assign(waiting, { state: "ready", runAt: now });
      return true;
    }
    const old = this.ended.get(id);
    if (old === undefined || old.ended === "succeeded" || this.holderOf(old.uniqueKey) !== undefined) return false;
    this.ended.delete(id);
    const { ended: _, ...job } = old;
    this.live.set(id, {
      ...job,
      state: "ready",
      attempt: 0,
      worker: undefined,
      lease: undefined,
      cancelAsked: false,
      runAt: now,
    });
    return true;
  }

  purge(id: number): boolean {
    const live = this.live.delete(id);
    return this.ended.delete(id) || live;
  }

  runningOf(worker: number): Job[] {
    return [...this.live.values()].filter((job) => job.worker === worker);
  }

  /** Jobs of dead workers, of this one and of those given up before, go to others; how many. */
  sweep(dead: number | undefined, now: number): number {
    return [...this.workers.keys()]
      .filter((worker) => worker === dead || this.givenUp.has(worker))
      .reduce((handedOver, worker) => handedOver + this.#lose(worker, now), 0);
  }

  /** A worker is taken for dead: its jobs go to others, but for those that somebody holds locked. */
  #lose(worker: number, now: number): number {
    let handedOver = 0;
    for (const job of this.runningOf(worker)) {
      const retryAt = Math.min(job.runAt, now);
      const answer = this.end({ id: job.id, lease: job.lease! }, { kind: "fail", retry: true, retryAt }, now);
      if (answer !== "busy") handedOver += 1;
    }
    if (this.runningOf(worker).length === 0) this.workers.delete(worker);
    else this.givenUp.add(worker);
    return handedOver;
  }

  #wait(job: Job, runAt: number, attempt: number, now: number): string {
    const state = runAt > now ? "scheduled" : "ready";
    Object.assign(job, { state, runAt, attempt, worker: undefined, lease: undefined });
    return state;
  }

  #finish(job: Job, ended: Ended): string {
    this.live.delete(job.id);
    this.ended.set(job.id, { ...job, ended });
    return ended;
  }
}
