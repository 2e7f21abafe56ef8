import type { Logger } from "../log.ts";
import { Appetite, type Look } from "./appetite.ts";
import { Backoff } from "./backoff.ts";
import type { Answer, Rest } from "./exchange.ts";
import type { Ending, Finished } from "./finished.ts";
import type { ClaimedJob } from "./job.ts";
import { Outbox } from "./outbox.ts";
import { isRefusal, mayHaveCommitted } from "./sqlstate.ts";

/**
 * The feed keeps the executor in work and the database informed, with one call for both: what has finished goes
 * in, what is next comes out.
 *
 * While calls are under way finished attempts gather and leave together with the next one, so that a batch is as
 * large as the database is slow, and no larger.
 *
 * After a call that failed there is none until a wait has passed, longer each time. Then what has finished is told
 * first, and jobs are asked for when that got through. A claim whose answer was lost may have been carried out: before
 * the next claim, and with no call under way, the jobs that nobody here knows of are given back.
 */

/** Calls that are under way at a time: while one is answered the server works on the other. */
const CALLS = 2;
/** Most jobs asked for, and most attempts finished, in a call. */
const BATCH = 1_000;

export interface FeedOptions {
  readonly exchange: (most: number, finished: readonly Finished[]) => Promise<Answer>;
  /** Looks at the whole, where calls go on at a bookmark; undefined where that is not due. */
  readonly look: () => Promise<Rest> | undefined;
  /** Tells the database that nobody need tell this worker of jobs. Never fails. */
  readonly sayAwake: () => Promise<void>;
  /** Gives back what runs in this worker's name, but for what it holds and these ids. */
  readonly reconcile: (unconfirmed: readonly number[]) => Promise<void>;
  /** How many more jobs there is room for, beside those already asked for. */
  readonly room: () => number;
  readonly onClaimed: (jobs: ClaimedJob[]) => void;
  /** The job is no longer the attempt's; `toldBefore`: because this end may have been told in a call whose answer was lost. */
  readonly onStale: (finished: Finished, toldBefore: boolean) => void;
  /** Whether calls get through. While they do not, nothing more should be begun: its results would have to be kept. */
  readonly onReach: (reached: boolean) => void;
  readonly log: Logger;
}

export class Feed {
  readonly #options: FeedOptions;
  readonly #appetite: Appetite;
  readonly #backoff = new Backoff();
  readonly #outbox: Outbox;
  #retry: NodeJS.Timeout | undefined;
  #calls = 0;
  #looks = 0;
  #asked = 0;
  #due = false;
  #paused = false;
  #pumping = false;
  #waiting = false;
  #claimFailed = false;
  #inDoubt = false;
  #closed = false;
  #onlookers: (() => void)[] = [];
  /** Mean time of a call in milliseconds, recent ones weighing more. */
  callMs = 5;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#appetite = new Appetite({
      onDue: () => this.#ring(),
      onHungry: () => this.wake(),
      sayAwake: options.sayAwake,
    });
    this.#outbox = new Outbox({ most: BATCH, log: options.log, onReady: () => this.#pumpSoon() });
  }

  /** There may be ready jobs. */
  wake(): void {
    this.#appetite.wake();
    this.#pumpSoon();
  }

  /** A job is due in that time, which the last answer may not have known. */
  dueIn(waitMs: number): void {
    this.#appetite.dueIn(waitMs);
  }

  /** Something is due: schedules are fired by the call, so it is made even when there is no room for a job. */
  #ring(): void {
    this.#due = true;
    this.wake();
  }

  /** Room has appeared. */
  roomFreed(): void {
    if (this.#appetite.hungry) this.#pumpSoon();
    this.#settle();
  }

  /** Takes the end of an attempt to the database, with the next call. */
  finish(ending: Ending): void {
    if (!this.#closed) this.#outbox.add(ending);
  }

  /** Ends of attempts that the database has not confirmed. */
  unconfirmed(): Ending[] {
    return this.#outbox.all();
  }

  /** Asks for no jobs until resumed. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.wake();
  }

  /** There may be jobs in this worker's name that it knows nothing of. */
  doubt(): void {
    this.#inDoubt = true;
    this.#pumpSoon();
  }

  /** Asks for no more jobs. */
  stopClaiming(): void {
    this.#appetite.end();
    this.#settle();
  }

  /** Resolves when all finished attempts were told and no call is under way. */
  flushed(): Promise<void> {
    return this.#until(() => this.#isQuiet());
  }

  /** Resolves when, besides, there are no ready jobs left and none is held here; or when no more will be claimed. */
  drained(isEmpty: () => boolean): Promise<void> {
    const nothingLeft = () => this.#appetite.over || (this.#appetite.sated && !this.#inDoubt);
    return this.#until(() => this.#isQuiet() && isEmpty() && nothingLeft());
  }

  #isQuiet(): boolean {
    return this.#outbox.isEmpty && this.#calls + this.#looks === 0;
  }

  /** Drops what is left: nothing is sent any more. */
  close(): void {
    this.#closed = true;
    this.stopClaiming();
    clearTimeout(this.#retry);
    this.#outbox.clear();
    this.#settle();
  }

  /** One turn of the event loop later, so that all that finishes in this turn leaves together. */
  #pumpSoon(): void {
    if (this.#pumping || this.#waiting || this.#closed) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#calls < CALLS && !this.#waiting && !this.#closed) {
      const { ends, single } = this.#outbox.next();
      const most = single ? 0 : this.#wanted(ends.length > 0);
      if (ends.length === 0 && most === 0 && !this.#due) break;
      void this.#call(most, ends);
    }
    if (this.#inDoubt && this.#calls === 0 && !this.#waiting && !this.#closed) void this.#reconcile();
    this.#settle();
  }

  /** How many jobs to ask for in the next call. */
  #wanted(telling: boolean): number {
    if (this.#paused || this.#inDoubt || !this.#appetite.asks(telling, this.#asked)) return 0;
    if (telling && this.#backoff.attempts > 0) return 0;
    return Math.min(Math.max(this.#options.room() - this.#asked, 0), BATCH);
  }

  async #call(most: number, ends: Finished[]): Promise<void> {
    const look = this.#appetite.look(most);
    const started = performance.now();
    const due = this.#due;
    this.#due = false;
    this.#calls += 1;
    this.#asked += most;
    try {
      const answering = this.#options.exchange(most, ends);
      if (most > 0) void this.#look(look);
      const answer = await answering;
      this.callMs += (performance.now() - started - this.callMs) / 8;
      this.#gotThrough(most);
      this.#outbox.told(ends, answer.busy);
      this.#read(answer, ends);
      this.#appetite.answered(look, answer);
      // What its ends made ready it has not all seen: what goes back or is tried again at once, what a limit lets in for it.
      // Nor has any other call under way, whatever it says of the rest.
      if (ends.length > 0 && (most === 0 || answer.rest === undefined)) this.#appetite.wake();
    } catch (error) {
      this.#due ||= due;
      this.#failed(error as Error & { code?: string }, most, ends);
    } finally {
      this.#calls -= 1;
      this.#asked -= most;
    }
    this.#pumpSoon();
    this.#settle();
  }

  /** Looks at the whole beside a call, if that is due. */
  async #look(since: Look): Promise<void> {
    const looking = this.#options.look();
    if (looking === undefined) return;
    this.#looks += 1;
    try {
      const rest = await looking;
      if (rest.lookAgain) this.#appetite.wake();
      else this.#appetite.sleeps(since, rest);
    } catch (error) {
      this.#failed(error as Error & { code?: string }, 0, []);
    } finally {
      this.#looks -= 1;
    }
    this.#pumpSoon();
    this.#settle();
  }

  #read({ stale, claimed }: Answer, ends: readonly Finished[]): void {
    for (const end of ends) {
      if (stale.has(end.job.id)) this.#options.onStale(end, this.#outbox.wasSentBefore(end));
    }
    if (claimed.length > 0) this.#options.onClaimed(claimed);
  }

  /** The call may have been carried out or not. Finishing again is safe, since the lease fences it. */
  #failed(error: Error & { code?: string }, most: number, ends: readonly Finished[]): void {
    if (ends.length > 0 && isRefusal(error)) {
      this.#outbox.refused(ends, error);
      return;
    }
    this.#outbox.untold(ends);
    this.#appetite.failed();
    if (most > 0) {
      this.#claimFailed = true;
      if (mayHaveCommitted(error)) this.#inDoubt = true;
    }
    this.#waitAfter(error);
  }

  #waitAfter(error: Error): void {
    if (this.#waiting || this.#closed) return;
    this.#waiting = true;
    if (this.#backoff.attempts === 0) {
      this.#options.log.warn("cannot get through to the database; trying until it answers", { error: error.message });
      this.#options.onReach(false);
    }
    this.#retry = setTimeout(() => {
      this.#waiting = false;
      this.#pump();
    }, this.#backoff.next());
  }

  /** Where claims fail and all else works, this is not over before a claim has worked. */
  #gotThrough(most: number): void {
    if (this.#backoff.attempts === 0 || (most === 0 && this.#claimFailed)) return;
    this.#claimFailed = false;
    this.#backoff.reset();
    this.#options.log.info("the database answers again");
    this.#options.onReach(true);
  }

  async #reconcile(): Promise<void> {
    this.#calls += 1;
    try {
      await this.#options.reconcile(this.#outbox.all().map(({ job }) => job.id));
      this.#inDoubt = false;
    } catch (error) {
      this.#waitAfter(error as Error);
    } finally {
      this.#calls -= 1;
    }
    this.#pumpSoon();
    this.#settle();
  }

  /** Lets those who wait for a state look again whether it has come. */
  #settle(): void {
    if (this.#onlookers.length > 0) for (const look of this.#onlookers.splice(0)) look();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!this.#closed && !condition()) await new Promise<void>((resolve) => this.#onlookers.push(resolve));
  }
}
