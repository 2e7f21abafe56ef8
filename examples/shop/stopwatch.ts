import type { AnyTask } from "../../src/index.ts";

/** Notes when each attempt of each job entered its handler, by `performance.now()`. */
export class Stopwatch {
  readonly #starts = new Map<number, number[]>();

  /** The same tasks, watched. */
  watch(tasks: AnyTask[]): AnyTask[] {
    return tasks.map((task) => ({
      ...task,
      run: (payload, ctx) => {
        const { id } = ctx.job;
        this.#starts.set(id, [...this.startsOf(id), performance.now()]);
        return task.run(payload, ctx);
      },
    }));
  }

  startsOf(job: number): number[] {
    return this.#starts.get(job) ?? [];
  }
}
