import { ConfigError } from "../errors.ts";
import { type AnyTask, isTask } from "./define-task.ts";

/** Tasks by every name that jobs may carry: their own and their former ones. */
export class TaskRegistry {
  readonly tasks: readonly AnyTask[];
  /** Whether any of them runs its jobs in batches. */
  readonly hasBatches: boolean;
  readonly #byName = new Map<string, AnyTask>();

  /** @throws ConfigError where something is no task, or two different tasks claim one name. */
  constructor(tasks: Iterable<AnyTask>) {
    this.tasks = [...new Set(tasks)];
    this.hasBatches = this.tasks.some((task) => task?.batch !== undefined);
    for (const task of this.tasks) {
      if (!isTask(task)) {
        throw new ConfigError(`tasks contains ${typeof task} ${String(task)}, not a task made by defineTask`);
      }
      for (const name of [task.name, ...task.aliases]) {
        const other = this.#byName.get(name);
        if (other !== undefined && other !== task) {
          throw new ConfigError(
            `the task name "${name}" is taken twice, by "${other.name}" and by "${task.name}": rename one of them`,
          );
        }
        this.#byName.set(name, task);
      }
    }
  }

  get(name: string): AnyTask | undefined {
    return this.#byName.get(name);
  }

  /** The topics of each task by its name. A former name has none: what was subscribed under it no longer counts twice. */
  topics(): Record<string, readonly string[]> {
    return Object.fromEntries([...this.#byName].map(([name, task]) => [name, name === task.name ? task.topics : []]));
  }

  /** Every name that a worker with these tasks claims. */
  names(): string[] {
    return [...this.#byName.keys()];
  }
}
