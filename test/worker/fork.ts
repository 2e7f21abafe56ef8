import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Tally } from "../support/latch.ts";

export interface ChildSettings {
  readonly url: string;
  readonly concurrency: number;
}

export type FromChild =
  | { readonly ready: true }
  | { readonly began: number; readonly attempt: number }
  | { readonly aborted: number }
  | { readonly logged: string };

/** A worker in a process of its own. */
export class Child {
  readonly process: ChildProcess;
  readonly began = new Tally<number>();
  readonly aborted = new Tally<number>();
  readonly logged = new Tally<string>();
  readonly exited: Promise<unknown>;

  private constructor(settings: ChildSettings) {
    const file = fileURLToPath(new URL("./child.js", import.meta.url));
    this.process = fork(file, [JSON.stringify(settings)], { execArgv: [] });
    this.exited = once(this.process, "exit");
    this.process.on("message", (message: FromChild) => {
      if ("began" in message) this.began.add(message.began);
      else if ("aborted" in message) this.aborted.add(message.aborted);
      else if ("logged" in message) this.logged.add(message.logged);
    });
  }

  /** Resolves when its worker has started. */
  static async start(settings: ChildSettings): Promise<Child> {
    const child = new Child(settings);
    const ready = new Promise<void>((resolve) => {
      child.process.on("message", (message: FromChild) => {
        if ("ready" in message) resolve();
      });
    });
    await Promise.race([
      ready,
      child.exited.then(() => {
        throw new Error("the child ended before it was ready");
      }),
    ]);
    return child;
  }

  /** kill -9, where it has not ended yet. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.exited;
  }
}
