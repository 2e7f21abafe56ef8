import { hostname } from "node:os";
import type pg from "pg";
import type { Around } from "../client/middleware.ts";
import { StoppedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { toMilliseconds } from "../tasks/duration.ts";
import { checkOptions } from "../tasks/options.ts";
import type { TaskRegistry } from "../tasks/registry.ts";
import type { Answer } from "./exchange.ts";
import { Executor } from "./executor.ts";
import { Feed } from "./feed.ts";
import type { Finished } from "./finished.ts";
import { Hearing } from "./hearing.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { Beat } from "./heartbeat-messages.ts";
import { Notes } from "./notes.ts";
import { Protocol } from "./protocol.ts";
import type { SharedListener } from "./shared-listener.ts";
import { Slots } from "./slots.ts";
import { Turns } from "./turns.ts";
import { within } from "./within.ts";
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
  readonly #protocol: Protocol;
  readonly #notes: Notes;
  readonly #executor: Executor;
  readonly #feed: Feed;
  readonly #hearing: Hearing;
  #heartbeat: Heartbeat | undefined;
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
    this.#protocol = new Protocol({ pool, schema, tasks, slots: this.#slots, log });
    this.#notes = new Notes({ log, write: (notes) => this.#protocol.note(notes) });
    this.#executor = new Executor({
      notes: this.#notes,
      around: parts.around,
      pool,
      schema,
      tasks,
      log,
      transactions: new Turns(Math.max((pool.options.max ?? 10) - OWN_CONNECTIONS, 1)),
      patienceMs: () => this.#protocol.leaseMs,
      concurrency: this.#slots.total,
      // A job claimed ahead might take the slot of another queue.
      claimsAhead: !this.#slots.apart,
      mayBegin: () => !this.#isSilent(),
      onFinished: (finished) => this.#feed.finish(finished),
      // Of a queue without a free slot nobody has looked whether it has jobs.
      onRoom: () => (this.#slots.apart ? this.#feed.wake() : this.#feed.roomFreed()),
      callMs: () => this.#feed.callMs,
    });
    this.#feed = new Feed({
      log,
      exchange: (most, finished) => this.#exchange(most, finished),
      look: () => this.#protocol.look(() => this.#executor.taken()),
      sayAwake: () => this.#protocol.sayAwake(),
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
    this.#hearing = new Hearing({
      log,
      listener,
      worker: () => this.#protocol.worker,
      onListening: () => {
        this.#feed.wake();
        void this.#lookForCancels();
      },
      onJobs: (queue) => {
        this.#heartbeat?.active();
        if (queue === undefined || this.#slots.serves(queue)) this.#feed.wake();
      },
      onCancel: () => void this.#lookForCancels(),
      onLasting: () => this.#heartbeat?.trust(),
      onDeaf: () => void this.#protocol.sayPolls(),
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
    const { direct, schema, log, tasks } = this.#parts;
    // No job is claimed before somebody would notice that this process died with it.
    this.#feed.pause();
    await this.#register();
    this.#goOn();
    this.#heartbeat = new Heartbeat({
      addresses: direct,
      schema,
      worker: this.#protocol.worker,
      log,
      onBeat: (beat) => this.#beat(beat),
      onUnknown: (worker) => void this.#registerAgain(worker),
    });
    await Promise.all([this.#heartbeat.start(), this.#hearing.open()]);
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
    const { log, onStopped } = this.#parts;
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
      void this.#protocol.sayStopping();
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
    await this.#hearing.close();
    await within(ANSWER_MS, this.#registering);
    await within(ANSWER_MS, this.#protocol.deregister());
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
    await this.#protocol.declare();
    this.#goOn();
    const channel = await this.#protocol.register(this.name);
    this.#parts.listener.listenTo(channel);
    if (this.#hearing.deaf) void this.#protocol.sayPolls();
  }

  /** Others have taken this worker for dead and its jobs: whatever it still runs is theirs. */
  #registerAgain(worker: number): void {
    if (worker !== this.#protocol.worker || this.#registering !== undefined || this.#stopping !== undefined) return;
    this.#parts.log.warn("the worker was taken for dead and its jobs were given to others; starting afresh");
    this.#feed.pause();
    this.#executor.lose("the worker was taken for dead");
    this.#registering = this.#register()
      .then(
        () => {
          this.#heartbeat?.beatFor(this.#protocol.worker);
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
    const { worker } = this.#protocol;
    const answer = await this.#protocol.exchange(most, finished, () => this.#executor.taken());
    if (answer.claimed.length === 0) return answer;
    this.#heartbeat?.active();
    if (worker === this.#protocol.worker && this.#registering === undefined) return answer;
    // Claimed for a worker that was taken for dead.
    for (const job of answer.claimed) this.#feed.finish({ kind: "released", job });
    return { ...answer, claimed: [] };
  }

  async #reconcile(unconfirmed: readonly number[]): Promise<void> {
    const held = this.#executor.held().map(({ id }) => id);
    const jobs = await this.#protocol.reconcile([...held, ...unconfirmed]);
    if (jobs > 0) this.#parts.log.info("gave back jobs that were claimed in an answer that got lost", { jobs });
  }

  /** Aborts the attempts whose jobs were cancelled. Where this fails, a beat tells of them again. */
  async #lookForCancels(): Promise<void> {
    try {
      const leases = await this.#protocol.cancels();
      if (leases.size > 0) this.#executor.cancel(({ id, lease }) => leases.get(id) === lease);
    } catch (error) {
      this.#parts.log.warn("could not ask which jobs were cancelled", { error: (error as Error).message });
    }
  }

  #beat({ ready, waitMs, longHeld, leaseMs, trouble, pooled, cancels }: Beat): void {
    const { log } = this.#parts;
    this.#protocol.leaseMs = leaseMs;
    if (trouble !== null) log.error("a beat could not do all of its work for others", { error: trouble });
    if (ready) this.#feed.wake();
    else if (waitMs !== null) this.#feed.dueIn(waitMs);
    if (longHeld > this.#longHeld()) this.#feed.doubt();
    if (cancels) void this.#lookForCancels();
    this.#heartbeat?.tellStuck(this.#executor.stuck());
    if (performance.now() >= this.#maintainAt) {
      this.#maintainAt = performance.now() + MAINTAIN_EVERY_MS * (0.5 + Math.random());
      void this.#protocol.maintain();
    }
    this.#hearing.sent(pooled);
  }

  /** What it claimed now might go to others before it is done. The beat that ends this tells of what is ready. */
  #mayBeTakenForDead(): boolean {
    return this.#heartbeat === undefined || this.#heartbeat.lost || this.#isSilent();
  }

  /** Nothing was heard of its heart for so long that others may have its jobs by now. */
  #isSilent(): boolean {
    return this.#heartbeat !== undefined && this.#heartbeat.silentMs > this.#protocol.leaseMs / 2;
  }

  #longHeld(): number {
    const since = performance.now() - LONG_HELD_MS;
    const unconfirmed = this.#feed.unconfirmed().map(({ job }) => job);
    return [...this.#executor.held(), ...unconfirmed].filter(({ claimedAt }) => claimedAt < since).length;
  }
}
