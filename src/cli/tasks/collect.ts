import { ConfigError } from "../../errors.ts";
import { isSchedule, type Schedule } from "../../schedules/define-schedule.ts";
import { type AnyTask, isTask } from "../../tasks/define-task.ts";
import { isWatch, type Watch } from "../../watches/define-watch.ts";

/** How deep lists and objects of tasks are looked into; a CommonJS module alone brings two levels. */
const DEEPEST = 4;

/** What the files of a project declare. Gets every exported value of every file. */
export class Declarations {
  readonly #tasks = new Named<AnyTask>("task");
  readonly #schedules = new Named<Schedule>("schedule");
  readonly #watches = new Named<Watch>("watch");

  get tasks(): AnyTask[] {
    return this.#tasks.values();
  }

  get schedules(): Schedule[] {
    return this.#schedules.values();
  }

  get watches(): Watch[] {
    return this.#watches.values();
  }

  /**
   * Takes what a module exports: single declarations, and lists and objects of them.
   *
   * @returns How many declarations there were.
   * @throws ConfigError for two different ones of one kind and name.
   */
  addModule(exports: Readonly<Record<string, unknown>>, file: string): number {
    let count = 0;
    for (const value of new Set(valuesIn(exports, DEEPEST))) if (this.#add(value, file)) count += 1;
    return count;
  }

  #add(value: unknown, file: string): boolean {
    if (isTask(value)) this.#tasks.add(value, file);
    else if (isSchedule(value)) this.#schedules.add(value, file);
    else if (isWatch(value)) this.#watches.add(value, file);
    else return false;
    return true;
  }
}

/** Declarations of one kind by their names, and where each came from. */
class Named<T extends { readonly name: string }> {
  readonly #kind: string;
  readonly #byName = new Map<string, { value: T; file: string }>();

  constructor(kind: string) {
    this.#kind = kind;
  }

  values(): T[] {
    return [...this.#byName.values()].map(({ value }) => value);
  }

  add(value: T, file: string): void {
    const other = this.#byName.get(value.name);
    if (other !== undefined && other.value !== value) {
      const where = other.file === file ? `twice in ${file}` : `in ${other.file} and in ${file}`;
      throw new ConfigError(`the ${this.#kind} "${value.name}" is defined ${where}: rename one of them`);
    }
    this.#byName.set(value.name, other ?? { value, file });
  }
}

/** Every value in lists, plain objects and modules, themselves included. */
function* valuesIn(value: unknown, depth: number): Generator<unknown> {
  yield value;
  if (depth === 0 || isTask(value) || isSchedule(value) || isWatch(value) || !isContainer(value)) return;
  for (const item of Object.values(value)) yield* valuesIn(item, depth - 1);
}

function isContainer(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  // The namespace of a module has no prototype.
  return Array.isArray(value) || prototype === null || prototype === Object.prototype;
}
