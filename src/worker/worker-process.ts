import { hostname } from "node:os";
import type pg from "pg";
import type { Around } from "../client/middleware.ts";
import { StoppedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { toMilliseconds } from "../tasks/duration.ts";
import { checkOptions } from "../tasks/options.ts";
import type { TaskRegistry } from "../tasks/registry.ts";
import { VERSION } from "../version.ts";
import { ask } from "./ask.ts";
import { type Answer, exchange } from "./exchange.ts";
import { Executor } from "./executor.ts";
import { Feed } from "./feed.ts";
import type { Finished } from "./finished.ts";
import { Hearing } from "./hearing.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { Beat } from "./heartbeat-messages.ts";
import { Notes } from "./notes.ts";
import type { Ears, SharedListener } from "./shared-listener.ts";
import { Slots } from "./slots.ts";
import { Turns } from "./turns.ts";
import type { Worker, WorkerOptions } from "./worker.ts";

/** What a worker is made of. */
export interface WorkerParts {
  readonly pool: pg.Pool;
  /** Where the heartbeat connects; several: to the one that takes writes. */
  readonly direct: readonly pg.ClientConfig[];
  readonly listener: SharedListener;
  readonly schema: string;
  readonly tasks: TaskRegistry;
  readonly log: Logger;
  readonly around: Around;
  readonly options: WorkerOptions;
  readonly onStopped: (worker: Worker) => void;
}

/** How long handlers may take to settle after their signals aborted, before the worker stops without them. */
const ABORTED_GRACE_MS = 1_000;
/** Least time to tell the database of what has finished, when the grace is used up. */
const LEAST_FLUSH_MS = 5_000;
/** How long a stopping worker waits for an answer of the database to anything else, which may wait for a lock or be gone. */
const ANSWER_MS = 5_000;
/** Jobs held for longer than this, less some for the way, are those that a beat calls long held. */
const LONG_HELD_MS = 8_000;
/** Between two rounds of housekeeping in the database, varied by half. */
const MAINTAIN_EVERY_MS = 600_000;
/** Connections that transactions of handlers leave to the worker itself. */
const OWN_CONNECTIONS = 2;

/** A worker of this process. */
export class WorkerProcess implements Worker {
  readonly name: string;
  readonly #parts: WorkerParts;
  readonly #slots: Slots;
  readonly #graceMs: number;
  readonly #taskNames: readonly string[];
  readonly #notes: Notes;
  readonly #executor: Executor;
  readonly #feed: Feed;
  readonly #ears: Ears;
  readonly #hearing: Hearing;
  #heartbeat: Heartbeat | undefined;
  #id = 0;
  #leaseMs = 30_000;
  #maintainAt = 0;
  #starting: Promise<void> | undefined;
  #started = false;
  #registering: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(parts: WorkerParts) {
    const { pool, schema, listener, tasks, log, options } = parts;
    checkOptions("startWorker", options, ["concurrency", "queues", "name", "grace"]);
    this.#parts = parts;
    this.#slots = new Slots(options);
    this.#graceMs = toMilliseconds(options.grace ?? "30s", "grace");
    this.name = options.name ?? `${hostname()}:${process.pid}`;
    this.#taskNames = tasks.names();
    this.#notes = new Notes({
      log,
      write: async (notes) => void (await this.#ask(`select ${schema}.note_v1($1)`, [JSON.stringify(notes)])),
    });
    this.#executor = new Executor({
      notes: this.#notes,
      around: parts.around,
      pool,
      schema,
      tasks,
      log,
      transactions: new Turns(Math.max((pool.options.max ?? 10) - OWN_CONNECTIONS, 1)),
      patienceMs: () => this.#leaseMs,
      concurrency: this.#slots.total,
      // A job claimed ahead might take the slot of another queue.
      claimsAhead: !this.#slots.apart,
      onFinished: (finished) => this.#feed.finish(finished),
      // Of a queue without a free slot nobody has looked whether it has jobs.
      onRoom: () => (this.#slots.apart ? this.#feed.wake() : this.#feed.roomFreed()),
      callMs: () => this.#feed.callMs,
    });
    this.#feed = new Feed({
      log,
      exchange: (most, finished) => this.#exchange(most, finished),
      sayAwake: () => this.#do(`awake_v1(${this.#id})`),
      reconcile: (unconfirmed) => this.#reconcile(unconfirmed),
      room: () => (this.#mayBeTakenForDead() ? 0 : this.#executor.room()),
      onClaimed: (jobs) => this.#executor.accept(jobs),
      onStale: ({ job: { id, task }, kind }, toldBefore) => {
        const fields = { job: id, task, end: kind };
        if (toldBefore) log.info("the end of an attempt was recorded already, or its job has gone to others", fields);
        else log.warn("the end of an attempt came too late: the job is no longer this worker's", fields);
      },
      onReach: (reached) => (reached ? this.#executor.resume() : this.#executor.pause()),
    });
    this.#ears = {
      onListening: () => {
        this.#hearing.clear();
        this.#feed.wake();
        void this.#lookForCancels();
      },
      onHint: (hint) => this.#heard(hint),
    };
    this.#hearing = new Hearing({
      log,
      onDead: () => listener.restart("it heard nothing of the last beat"),
      onLasting: () => this.#heartbeat?.trust(),
      onDeaf: () => {
        void listener.close(this.#ears);
        void this.#do(`polls_v1(${this.#id})`);
      },
      look: () => this.#feed.wake(),
    });
  }

  get running(): number {
    return this.#executor.running;
  }

  /** Registers and starts. @throws where the database cannot be reached or is not migrated; nothing is left running then. */
  async start(): Promise<void> {
    this.#starting = this.#start();
    try {
      await this.#starting;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { direct, schema, listener, log, tasks } = this.#parts;
    // No job is claimed before somebody would notice that this process died with it.
    this.#feed.pause();
    await this.#register();
    this.#goOn();
    this.#heartbeat = new Heartbeat({
      addresses: direct,
      schema,
      worker: this.#id,
      log,
      onBeat: (beat) => this.#beat(beat),
      onUnknown: (worker) => void this.#registerAgain(worker),
    });
    await Promise.all([this.#heartbeat.start(), listener.open(this.#ears)]);
    this.#goOn();
    this.#started = true;
    this.#feed.resume();
    log.info("worker started", { worker: this.name, concurrency: this.#slots.total, tasks: tasks.tasks.length });
  }

  /** Between the steps of starting, at first or again. @throws where it was stopped meanwhile. */
  #goOn(): void {
    if (this.#stopping !== undefined) throw new StoppedError("the worker was stopped while it started");
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { pool, schema, log, onStopped } = this.#parts;
    const deadline = performance.now() + this.#graceMs;
    if (!this.#started) {
      await this.#heartbeat?.stop();
      await within(
        ANSWER_MS,
        this.#starting?.catch(() => {}),
      );
    }
    this.#feed.stopClaiming();
    this.#executor.stop();
    if (this.#executor.running > 0) {
      log.info("worker stopping", { worker: this.name, running: this.#executor.running });
      void this.#do(`stopping_v1(${this.#id})`);
      await within(this.#graceMs, this.#executor.emptied());
      if (this.#executor.running > 0) {
        log.warn("the grace is over; running jobs go back", { running: this.#executor.running });
        this.#executor.giveBackRunning();
        await within(ABORTED_GRACE_MS, this.#executor.emptied());
      }
    }
    await within(Math.max(deadline - performance.now(), LEAST_FLUSH_MS), this.#feed.flushed());
    this.#feed.close();
    this.#notes.close();
    this.#hearing.close();
    await this.#parts.listener.close(this.#ears);
    await within(ANSWER_MS, this.#registering);
    if (this.#id !== 0) {
      // Where the database is gone, others will find this worker dead.
      const deregistered = pool.query(`select ${schema}.deregister_v1($1)`, [this.#id]).catch(() => {});
      await within(ANSWER_MS, deregistered);
    }
    await this.#heartbeat?.stop();
    if (this.#started) log.info("worker stopped", { worker: this.name });
    onStopped(this);
  }

  async drained(): Promise<void> {
    // What was committed before the call counts, even if its notification is still on the way.
    this.#feed.wake();
    await this.#feed.drained(() => this.#executor.idle);
  }

  async #register(): Promise<void> {
    const { schema, tasks } = this.#parts;
    await this.#ask(`select ${schema}.declare_tasks_v1($1)`, [
      JSON.stringify(tasks.tasks.map(({ declaration }) => declaration)),
    ]);
    await this.#ask(`select ${schema}.declare_topics_v1($1)`, [JSON.stringify(tasks.topics())]);
    this.#goOn();
    const [registered] = await this.#ask(
      `select ${schema}.register_v1($1, $2, $3, $4, $5, $6, $7) as id, ${schema}.channel() as channel`,
      [this.name, hostname(), process.pid, VERSION, this.#slots.queues ?? null, this.#taskNames, this.#slots.total],
    );
    this.#id = registered!.id;
    this.#parts.listener.listenTo(registered!.channel);
    if (this.#hearing.deaf) void this.#do(`polls_v1(${this.#id})`);
  }

  /** Others have taken this worker for dead and its jobs: whatever it still runs is theirs. */
  #registerAgain(worker: number): void {
    if (worker !== this.#id || this.#registering !== undefined || this.#stopping !== undefined) return;
    this.#parts.log.warn("the worker was taken for dead and its jobs were given to others; starting afresh");
    this.#feed.pause();
    this.#executor.lose("the worker was taken for dead");
    this.#registering = this.#register()
      .then(
        () => {
          this.#heartbeat?.beatFor(this.#id);
          this.#feed.resume();
        },
        // The heartbeat goes on telling that the worker is unknown.
        (error: Error) => this.#parts.log.warn("the worker could not register again", { error: error.message }),
      )
      .finally(() => {
        this.#registering = undefined;
      });
  }

  async #exchange(most: number, finished: readonly Finished[]): Promise<Answer> {
    const { pool, schema } = this.#parts;
    const slots = most > 0 ? this.#slots.ask(this.#executor.taken()) : undefined;
    const claimant = { worker: this.#id, queues: this.#slots.queues, tasks: this.#taskNames, slots };
    const answering = exchange(pool, schema, claimant, most, finished, this.#leaseMs);
    const answer = await answering.finally(() => this.#slots.answered(slots));
    if (answer.claimed.length === 0) return answer;
    this.#heartbeat?.active();
    if (claimant.worker === this.#id && this.#registering === undefined) return answer;
    // Claimed for a worker that was taken for dead.
    for (const job of answer.claimed) this.#feed.finish({ kind: "released", job });
    return { ...answer, claimed: [] };
  }

  async #reconcile(unconfirmed: readonly number[]): Promise<void> {
    const { schema, log } = this.#parts;
    const held = [...this.#executor.held().map(({ id }) => id), ...unconfirmed];
    const [answer] = await this.#ask(`select ${schema}.reconcile_v1($1, $2) as released`, [this.#id, held]);
    if (answer!.released > 0) {
      log.info("gave back jobs that were claimed in an answer that got lost", { jobs: answer!.released });
    }
  }

  #heard(hint: Readonly<Record<string, unknown>>): void {
    if (hint.probe !== undefined) {
      if (hint.probe !== this.#id) return;
      this.#hearing.heard();
      return;
    }
    // Told to others, who await results or listen to a topic.
    if (["ended", "progress", "topic", "mark"].some((kind) => hint[kind] !== undefined)) return;
    if (hint.cancel !== undefined) {
      if (hint.cancel === this.#id) void this.#lookForCancels();
      return;
    }
    this.#heartbeat?.active();
    if (typeof hint.queue !== "string" || this.#slots.serves(hint.queue)) this.#feed.wake();
  }

  /** Aborts the attempts whose jobs were cancelled. Where this fails, a beat tells of them again. */
  async #lookForCancels(): Promise<void> {
    const { schema, log } = this.#parts;
    try {
      const rows = await this.#ask(`select id, lease from ${schema}.cancels_v1($1)`, [this.#id]);
      const leases = new Map(rows.map((row) => [Number(row.id), row.lease]));
      if (leases.size > 0) this.#executor.cancel(({ id, lease }) => leases.get(id) === lease);
    } catch (error) {
      log.warn("could not ask which jobs were cancelled", { error: (error as Error).message });
    }
  }

  #beat({ ready, waitMs, longHeld, leaseMs, trouble, pooled, cancels }: Beat): void {
    const { log } = this.#parts;
    this.#leaseMs = leaseMs;
    if (trouble !== null) log.error("a beat could not do all of its work for others", { error: trouble });
    if (ready) this.#feed.wake();
    else if (waitMs !== null) this.#feed.dueIn(waitMs);
    if (longHeld > this.#longHeld()) this.#feed.doubt();
    if (cancels) void this.#lookForCancels();
    this.#heartbeat?.tellStuck(this.#executor.stuck());
    if (performance.now() >= this.#maintainAt) {
      this.#maintainAt = performance.now() + MAINTAIN_EVERY_MS * (0.5 + Math.random());
      void this.#do("maintain()");
    }
    if (this.#parts.listener.listening) this.#hearing.sent(pooled);
  }

  /** What it claimed now might go to others before it is done. The beat that ends this tells of what is ready. */
  #mayBeTakenForDead(): boolean {
    const heartbeat = this.#heartbeat;
    return heartbeat === undefined || heartbeat.lost || heartbeat.silentMs > this.#leaseMs / 2;
  }

  #longHeld(): number {
    const since = performance.now() - LONG_HELD_MS;
    const unconfirmed = this.#feed.unconfirmed().map(({ job }) => job);
    return [...this.#executor.held(), ...unconfirmed].filter(({ claimedAt }) => claimedAt < since).length;
  }

  /** Calls a function of the database that may as well fail. */
  async #do(call: string): Promise<void> {
    const { schema, log } = this.#parts;
    await this.#ask(`select ${schema}.${call}`).catch((error) => log.warn(`${call} failed`, { error: error.message }));
  }

  /** What is not answered within a lease is given up with its connection. */
  #ask(text: string, values: readonly unknown[] = []): Promise<pg.QueryResultRow[]> {
    return ask(this.#parts.pool, { text, values: [...values] }, this.#leaseMs);
  }
}

async function within(ms: number, work: Promise<unknown> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
