import { Alarm } from "./alarm.ts";
import { Alertness } from "./alertness.ts";
import type { Answer, Rest } from "./exchange.ts";

/** First and longest wait before looking again at ready jobs that were held by another transaction. */
const LOOK_AGAIN_MS = { first: 100, longest: 400 };

export interface AppetiteOptions {
  /** Something is due: the next due time that an answer told, or a second look at jobs that others held. */
  readonly onDue: () => void;
  /** There may be ready jobs that nobody has told of. */
  readonly onHungry: () => void;
  /** Tells the database that nobody need tell this worker of jobs. Never fails. */
  readonly sayAwake: () => Promise<void>;
}

/** A call that asks for so many jobs, and what was known when it left. */
export interface Look {
  readonly most: number;
  readonly wakes: number;
}

/**
 * Whether there may be ready jobs. Nothing polls: it is either hungry (there may be some, so ask whenever there is room) or
 * sated (the last answer said there are none). Sated turns to hungry by
 * - a wake: a notification, the safety look of a beat, a reconnected listener, ends of our own that may have made jobs ready;
 * - the alarm, set to the next due time that the answer told, or to a soon second look where ready jobs were
 *   left that another transaction holds;
 * - a failed call, which may have missed a wake;
 * - nothing else. A wake that arrives while a call is under way is newer than the call's answer, so what the answer
 *   says of the rest is not believed.
 */
export class Appetite {
  readonly #alarm: Alarm;
  readonly #alertness: Alertness;
  #hungry = true;
  /** The last look got all that it asked for: there is work for a second call beside the first. */
  #backlog = false;
  #wakes = 0;
  #wakesAsked = -1;
  #leftLocked = false;
  #lookAgainMs = LOOK_AGAIN_MS.first;
  #over = false;

  constructor({ onDue, onHungry, sayAwake }: AppetiteOptions) {
    this.#alarm = new Alarm(onDue);
    this.#alertness = new Alertness(() => sayAwake().finally(onHungry));
  }

  get hungry(): boolean {
    return this.#hungry;
  }

  /** No more jobs are asked for. */
  get over(): boolean {
    return this.#over;
  }

  /** The last look left none behind, not even locked ones. */
  get sated(): boolean {
    return !(this.#hungry || this.#leftLocked);
  }

  /** There may be ready jobs. */
  wake(): void {
    this.#wakes += 1;
    this.#hungry = true;
  }

  /** A job is due in that time, which the last answer may not have known. */
  dueIn(waitMs: number): void {
    if (!this.#over) this.#alarm.advance(Math.ceil(waitMs));
  }

  /** Asks for no more jobs. */
  end(): void {
    this.#over = true;
    this.#alarm.clear();
    this.#alertness.asleep();
  }

  /**
   * Whether the next call is to ask for jobs.
   * @param telling It is made anyway, to tell what has finished.
   * @param asked How many jobs calls under way have asked for.
   */
  asks(telling: boolean, asked: number): boolean {
    if (this.#over) return false;
    if (telling) return true;
    // Two calls for one wake would contend for the same few jobs or schedules.
    return this.#hungry && (this.#backlog || asked === 0 || this.#wakesAsked !== this.#wakes);
  }

  /** A call begins that asks for so many jobs; none where it only tells. */
  look(most: number): Look {
    if (most > 0) this.#wakesAsked = this.#wakes;
    return { most, wakes: this.#wakes };
  }

  /** A look beside the calls, that began when so many wakes were known, found that nothing is left. */
  sleeps({ wakes }: Look, rest: Rest): void {
    if (this.#over || wakes !== this.#wakes) return;
    this.#hungry = false;
    this.#leftLocked = false;
    this.#alertness.asleep();
    this.#sleep(rest);
  }

  answered({ most, wakes }: Look, { claimed, rest }: Answer): void {
    if (this.#over) return;
    if (claimed.length > 0) this.#lookAgainMs = LOOK_AGAIN_MS.first;
    if (most > 0) {
      this.#backlog = rest === undefined;
      if (this.#backlog) this.#alertness.busy();
    }
    if (wakes !== this.#wakes) return;
    if (most === 0) {
      // It did not look for jobs: whoever sleeps still wakes when it said.
      if (rest?.waitMs != null) this.dueIn(rest.waitMs);
      return;
    }
    this.#hungry = rest === undefined;
    this.#leftLocked = rest?.lookAgain ?? false;
    if (rest === undefined) return;
    this.#alertness.asleep();
    this.#sleep(rest);
  }

  /** It may have missed a wake. */
  failed(): void {
    this.#hungry = true;
  }

  #sleep({ lookAgain, waitMs }: Rest): void {
    if (lookAgain) {
      this.#alarm.set(Math.min(this.#lookAgainMs, Math.ceil(waitMs ?? Infinity)));
      this.#lookAgainMs = Math.min(this.#lookAgainMs * 2, LOOK_AGAIN_MS.longest);
    } else if (waitMs === null) {
      this.#alarm.clear();
    } else {
      this.#alarm.set(Math.ceil(waitMs));
    }
  }
}
