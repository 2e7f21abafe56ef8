import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { relative } from "node:path";
import { CONFIG_FILES } from "../../config/config-file.ts";
import { MODULE_FILE } from "../../config/import-module.ts";
import type { Logger } from "../../log.ts";
import { readPatterns } from "../tasks/task-pattern.ts";
import { FileWatch, foldersOf } from "./file-watch.ts";
import { type Report, WATCHED } from "./watched.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

export interface WatchOptions {
  /** Arguments of `rouse` that start the worker. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Files, folders and globs with the tasks; undefined: the default ones. */
  readonly patterns: readonly string[] | undefined;
  readonly folder: string;
  readonly log: Logger;
}

/**
 * Runs a worker in a process of its own, and another one whenever a file changes that the worker has loaded or would load:
 * the old one drains first. One that fails is waited for to be mended. Gives the exit code when a signal has ended it.
 */
export async function watchWorker(options: WatchOptions): Promise<number> {
  const watcher = new WorkerWatcher(options);
  return watcher.run();
}

class WorkerWatcher {
  readonly #options: WatchOptions;
  readonly #watch = new FileWatch((path) => this.#changed(path));
  #child: ChildProcess | undefined;
  #files = new Set<string>();
  #failed = false;
  #stopping = false;
  #restart = false;
  #wake: () => void = () => {};

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  async run(): Promise<number> {
    const forward = (signal: NodeJS.Signals) => {
      this.#stopping = true;
      this.#child?.kill(signal);
      this.#wake();
    };
    for (const signal of SIGNALS) process.on(signal, forward);
    try {
      for (;;) {
        this.#restart = false;
        this.#failed = false;
        await this.#observe();
        if (this.#stopping) return 0;
        const code = await this.#runChild();
        if (!this.#stopping && !this.#restart) {
          this.#failed = true;
          this.#options.log.warn(`the worker has ended with code ${code}; waiting for a change`);
          await this.#observe();
          await this.#reasonToGoOn();
        }
        if (this.#stopping) return code;
      }
    } finally {
      for (const signal of SIGNALS) process.off(signal, forward);
      this.#watch.close();
    }
  }

  /** Resolves with its exit code when it has ended. */
  async #runChild(): Promise<number> {
    const { args, environment } = this.#options;
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      env: { ...environment, [WATCHED]: "1" },
      // A group of its own: Ctrl-C in the terminal comes from us alone, and so once.
      detached: true,
    });
    this.#child = child;
    child.on("message", ({ files }: Report) => {
      for (const file of files) this.#files.add(file);
      void this.#observe();
    });
    const [code] = await once(child, "exit");
    this.#child = undefined;
    return code ?? 1;
  }

  /** Resolves when a file has changed or a signal has come, which may have been at any time since the child ended. */
  async #reasonToGoOn(): Promise<void> {
    while (!this.#stopping && !this.#restart) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #observe(): Promise<void> {
    const { patterns, folder } = this.#options;
    const wanted = await readPatterns(patterns, folder);
    const files = new Set([...this.#files, ...CONFIG_FILES.map((name) => `${folder}/${name}`)]);
    const folders = new Set([...foldersOf(files), ...wanted.flatMap((pattern) => pattern.folders)]);
    this.#watch.set(
      folders,
      (path) =>
        files.has(path) ||
        wanted.some((pattern) => pattern.matches(path) || pattern.folders.includes(path)) ||
        // What is missing may be a module that a task imports.
        (this.#failed && MODULE_FILE.test(path)),
    );
  }

  #changed(path: string): void {
    const { log, folder } = this.#options;
    if (this.#stopping) return;
    this.#restart = true;
    log.info(`${relative(folder, path)} has changed; restarting`);
    if (this.#child?.connected) this.#child.disconnect();
    this.#wake();
  }
}
