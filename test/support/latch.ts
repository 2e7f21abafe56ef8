/** A promise with its resolve function at hand: what one side awaits, the other opens. */
export class Latch<T = void> {
  readonly opened: Promise<T>;
  open!: (value: T) => void;

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}

/** A promise that rejects after a minute, so that a test fails where it waits in vain instead of much later elsewhere. */
export function patiently<T>(what: string, executor: (resolve: (value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const stack = new Error(`Waited 60 s in vain for ${what}.`);
    const timer = setTimeout(() => reject(stack), 60_000);
    executor((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

/** Things that happen one after the other; a test awaits until so many have. */
export class Tally<T> {
  readonly all: T[] = [];
  readonly #waiting = new Set<() => void>();

  add(item: T): void {
    this.all.push(item);
    for (const look of [...this.#waiting]) look();
  }

  /** All of them, once there are that many; an error where that takes longer than a test that passes ever would. */
  reach(count: number): Promise<T[]> {
    return patiently(`${count} of them, there are ${this.all.length},`, (resolve) => {
      const look = () => {
        if (this.all.length < count) return;
        this.#waiting.delete(look);
        resolve(this.all);
      };
      this.#waiting.add(look);
      look();
    });
  }
}
