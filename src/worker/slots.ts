import { ConfigError } from "../errors.ts";

/** Queues to serve: their names, or how many jobs of each may run at a time, `*` standing for all others together. */
export type Queues = readonly string[] | Readonly<Record<string, number>>;

/** What a worker may run: so many jobs at a time of its queues, or so many of each. */
export class Slots {
  /** Jobs at a time, all in all. */
  readonly total: number;
  /** Queues that are served; undefined: all. */
  readonly queues: readonly string[] | undefined;
  readonly #each: ReadonlyMap<string, number> | undefined;
  /** Asked for in calls that are under way. */
  readonly #asked = new Map<string, number>();

  /** @throws ConfigError for bad options. */
  constructor({ concurrency, queues }: { readonly concurrency?: number; readonly queues?: Queues }) {
    if (queues === undefined || Array.isArray(queues)) {
      this.total = checkCount("concurrency", concurrency ?? 10);
      this.queues = checkNames(queues);
      return;
    }
    if (concurrency !== undefined) {
      throw new ConfigError(
        `concurrency ${concurrency} was given together with slots for queues ${JSON.stringify(queues)}: the slots say how many jobs run at a time; "*" has those of all other queues`,
      );
    }
    const each = Object.entries(typeof queues === "object" && queues !== null ? queues : {});
    const names = checkNames(each.map(([name]) => name));
    this.#each = new Map(each.map(([name, slots]) => [name, checkCount(`queues["${name}"]`, slots)]));
    this.total = checkCount(
      "the sum of all slots",
      each.reduce((sum, [, slots]) => sum + slots, 0),
    );
    this.queues = this.#each.has("*") ? undefined : names;
  }

  /** Whether each queue has its own. */
  get apart(): boolean {
    return this.#each !== undefined;
  }

  /** Whether jobs of that queue are run here. */
  serves(queue: string): boolean {
    return this.queues === undefined || this.queues.includes(queue);
  }

  /**
   * How many jobs of each queue a call may claim, of whose slots these queues have taken theirs; undefined where queues have
   * none of their own. Until `answered` nobody else gets them.
   */
  ask(taken: Iterable<string>): Readonly<Record<string, number>> | undefined {
    const free = this.free(taken);
    if (free === undefined) return undefined;
    const asked = Object.fromEntries(
      Object.entries(free).map(([name, slots]) => [name, Math.max(slots - (this.#asked.get(name) ?? 0), 0)]),
    );
    for (const [name, slots] of Object.entries(asked)) this.#asked.set(name, (this.#asked.get(name) ?? 0) + slots);
    return asked;
  }

  /** How many slots of each queue no job of these queues has; undefined where queues have none of their own. */
  free(taken: Iterable<string>): Readonly<Record<string, number>> | undefined {
    if (this.#each === undefined) return undefined;
    const free = Object.fromEntries(this.#each);
    for (const queue of taken) {
      const name = this.#each.has(queue) ? queue : "*";
      free[name] = (free[name] ?? 0) - 1;
    }
    return free;
  }

  answered(asked: Readonly<Record<string, number>> = {}): void {
    for (const [name, slots] of Object.entries(asked)) this.#asked.set(name, this.#asked.get(name)! - slots);
  }
}

function checkCount(what: string, count: number): number {
  if (!(Number.isInteger(count) && count >= 1 && count <= 10_000)) {
    throw new ConfigError(`${what} ${String(count)} is not a whole number from 1 to 10000`);
  }
  return count;
}

function checkNames(queues: readonly string[] | undefined): readonly string[] | undefined {
  if (queues === undefined) return undefined;
  if (queues.length === 0 || queues.some((queue) => typeof queue !== "string" || queue === "")) {
    throw new ConfigError(
      `queues ${JSON.stringify(queues)} is not a list of names, nor an object such as { mail: 5, "*": 10 }: leave it out to serve all queues`,
    );
  }
  return queues;
}
