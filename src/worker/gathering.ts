import type { AnyTask } from "../tasks/define-task.ts";
import type { ClaimedJob } from "./job.ts";

/** Jobs of one task that will run together. */
export interface Gathered {
  readonly task: AnyTask;
  jobs: ClaimedJob[];
}

/** Jobs of batch tasks, from when they were claimed to when a slot runs them: each batch is open until it is full or has waited long enough. */
export class Gathering {
  readonly #onReady: () => void;
  readonly #open = new Map<AnyTask, Gathered & { timer: NodeJS.Timeout }>();
  #ready: Gathered[] = [];

  /** @param onReady A batch may run. */
  constructor(onReady: () => void) {
    this.#onReady = onReady;
  }

  /** Batches that wait for a slot. */
  get ready(): number {
    return this.#ready.length;
  }

  /** The first job of each of these: a batch takes a slot of its queue. */
  first(): ClaimedJob[] {
    return this.#ready.map(({ jobs }) => jobs[0]!);
  }

  get isEmpty(): boolean {
    return this.#open.size === 0 && this.#ready.length === 0;
  }

  add(task: AnyTask, job: ClaimedJob): void {
    let open = this.#open.get(task);
    if (open === undefined) {
      open = { task, jobs: [], timer: setTimeout(() => this.#close(task), task.batch!.waitMs) };
      this.#open.set(task, open);
    }
    open.jobs.push(job);
    if (open.jobs.length >= task.batch!.size) this.#close(task);
  }

  /** The next batch to run. */
  next(): Gathered | undefined {
    return this.#ready.shift();
  }

  jobs(): ClaimedJob[] {
    return [...this.#ready, ...this.#open.values()].flatMap(({ jobs }) => jobs);
  }

  /** Takes the jobs out that match; default all. */
  take(matches: (job: ClaimedJob) => boolean = () => true): ClaimedJob[] {
    const taken = this.jobs().filter(matches);
    for (const batch of [...this.#ready, ...this.#open.values()])
      batch.jobs = batch.jobs.filter((job) => !matches(job));
    this.#ready = this.#ready.filter(({ jobs }) => jobs.length > 0);
    for (const { task, jobs, timer } of [...this.#open.values()]) {
      if (jobs.length > 0) continue;
      clearTimeout(timer);
      this.#open.delete(task);
    }
    return taken;
  }

  #close(task: AnyTask): void {
    const { timer, jobs } = this.#open.get(task)!;
    clearTimeout(timer);
    this.#open.delete(task);
    this.#ready.push({ task, jobs });
    this.#onReady();
  }
}
