/** What has to be undone at the end, last thing first. */
export class Cleanups {
  readonly #todo: (() => Promise<unknown>)[] = [];

  add(cleanup: () => Promise<unknown>): void {
    this.#todo.unshift(cleanup);
  }

  /** One that fails keeps no other from being done. */
  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (let next = this.#todo.shift(); next; next = this.#todo.shift()) {
      await next().catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  }
}
