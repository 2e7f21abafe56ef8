import type { Installation } from "./installations.ts";

/** What a job carries in all scenarios. */
export interface Payload {
  readonly n: number;
}

/** Called at the start of each job. */
export type Handler = (payload: Payload) => void | Promise<void>;

/** A queue as the scenarios see it. All jobs are of one task. */
export interface Contender {
  readonly on: Installation;
  /** The table of jobs that wait or run. */
  readonly table: string;
  /** SQL condition of the jobs in that table that are not recorded as finished. */
  readonly unfinished: string;
  /** SQL by which a worker takes jobs. */
  readonly claim: RegExp;
  connect(url: string): Promise<Client>;
  work(url: string, handler: Handler): Promise<{ stop(): Promise<void> }>;
}

export interface Client {
  /** Adds that many jobs, the fastest way there is. */
  addMany(jobs: number): Promise<unknown>;
  /** Adds one job as an application does; at that instant, or now. */
  add(n: number, at?: Date): Promise<unknown>;
  close(): Promise<unknown>;
}
