import { hostname } from "node:os";
import type pg from "pg";
import type { Logger } from "../log.ts";
import type { TaskRegistry } from "../tasks/registry.ts";
import { VERSION } from "../version.ts";
import { ask } from "./ask.ts";
import { Bookmark } from "./bookmark.ts";
import { type Answer, type Claimant, exchange, type Rest } from "./exchange.ts";
import type { Finished } from "./finished.ts";
import { look } from "./look.ts";
import type { Note } from "./notes.ts";
import type { Slots } from "./slots.ts";

export interface ProtocolOptions {
  readonly pool: pg.Pool;
  readonly schema: string;
  readonly tasks: TaskRegistry;
  readonly slots: Slots;
  readonly log: Logger;
}

/**
 * What a worker says to the database and asks of it, in the name of its row. What is not answered within a lease is given up
 * with its connection.
 */
export class Protocol {
  readonly #options: ProtocolOptions;
  readonly #taskNames: readonly string[];
  readonly #bookmark = new Bookmark();
  #worker = 0;
  /** As the last beat told it. */
  leaseMs = 30_000;

  constructor(options: ProtocolOptions) {
    this.#options = options;
    this.#taskNames = options.tasks.names();
  }

  /** The id of the row; 0 before there is one. */
  get worker(): number {
    return this.#worker;
  }

  /** Tells of the tasks and of the topics that they subscribe to. */
  async declare(): Promise<void> {
    const { schema, tasks } = this.#options;
    const declarations = tasks.tasks.map(({ declaration }) => declaration);
    await this.#ask(`select ${schema}.declare_tasks_v1($1)`, [JSON.stringify(declarations)]);
    await this.#ask(`select ${schema}.declare_topics_v1($1)`, [JSON.stringify(tasks.topics())]);
  }

  /** Takes a new row, and gives the channel to listen to. */
  async register(name: string): Promise<string> {
    const { schema, slots } = this.#options;
    const [row] = await this.#ask(
      `select ${schema}.register_v1($1, $2, $3, $4, $5, $6, $7) as id, ${schema}.channel() as channel`,
      [name, hostname(), process.pid, VERSION, slots.queues ?? null, this.#taskNames, slots.total],
    );
    this.#worker = row!.id;
    return row!.channel;
  }

  /** Gives the row up, where there is one. Never fails: where the database is gone, others will find this worker dead. */
  async deregister(): Promise<void> {
    if (this.#worker === 0) return;
    const { pool, schema } = this.#options;
    await pool.query(`select ${schema}.deregister_v1($1)`, [this.#worker]).catch(() => {});
  }

  /**
   * Tells what has finished and claims jobs.
   * @param taken The queues of the jobs that have a slot.
   */
  async exchange(most: number, finished: readonly Finished[], taken: () => Iterable<string>): Promise<Answer> {
    const { pool, schema, slots } = this.#options;
    const asked = most > 0 ? slots.ask(taken()) : undefined;
    try {
      return await exchange(pool, schema, this.#claimant(asked), most, finished, this.leaseMs);
    } finally {
      slots.answered(asked);
    }
  }

  /** Looks at the whole beside the exchanges; undefined where that is not due. */
  look(taken: () => Iterable<string>): Promise<Rest> | undefined {
    if (!this.#bookmark.lookIsDue) return undefined;
    const { pool, schema, slots } = this.#options;
    return look(pool, schema, this.#claimant(slots.free(taken())), this.leaseMs);
  }

  #claimant(slots: Claimant["slots"]): Claimant {
    return {
      worker: this.#worker,
      queues: this.#options.slots.queues,
      tasks: this.#taskNames,
      slots,
      bookmark: this.#bookmark,
    };
  }

  /** Gives back what runs in the worker's name, but for these jobs; how many there were. */
  async reconcile(held: readonly number[]): Promise<number> {
    const [row] = await this.#ask(`select ${this.#options.schema}.reconcile_v1($1, $2) as released`, [
      this.#worker,
      held,
    ]);
    return row!.released;
  }

  /** The leases of jobs that were cancelled, by their ids. */
  async cancels(): Promise<ReadonlyMap<number, string>> {
    const rows = await this.#ask(`select id, lease from ${this.#options.schema}.cancels_v1($1)`, [this.#worker]);
    return new Map(rows.map(({ id, lease }) => [Number(id), lease]));
  }

  /** @returns the jobs of which nothing was noted, because another transaction holds their rows. */
  async note(notes: readonly Note[]): Promise<readonly number[]> {
    const [row] = await this.#ask(`select busy from ${this.#options.schema}.note_v1($1)`, [JSON.stringify(notes)]);
    return (row!.busy as string[]).map(Number);
  }

  /** Nobody need tell this worker of jobs. Never fails; nor do the following. */
  sayAwake(): Promise<void> {
    return this.#do(`awake_v1(${this.#worker})`);
  }

  /** This worker hears nothing, and looks for jobs by itself. */
  sayPolls(): Promise<void> {
    return this.#do(`polls_v1(${this.#worker})`);
  }

  sayStopping(): Promise<void> {
    return this.#do(`stopping_v1(${this.#worker})`);
  }

  maintain(): Promise<void> {
    return this.#do("maintain()");
  }

  /** Calls a function of the database that may as well fail. */
  async #do(call: string): Promise<void> {
    const { schema, log } = this.#options;
    await this.#ask(`select ${schema}.${call}`).catch((error) => log.warn(`${call} failed`, { error: error.message }));
  }

  #ask(text: string, values: readonly unknown[] = []): Promise<pg.QueryResultRow[]> {
    return ask(this.#options.pool, { text, values: [...values] }, this.leaseMs);
  }
}
