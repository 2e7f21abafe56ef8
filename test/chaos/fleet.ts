import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { now } from "./clock.ts";
import type { WorkerSettings } from "./worker.ts";

export interface Death {
  readonly process: string;
  readonly at: number;
}

/** One place for a worker: a process after the other, each behind the same proxy. */
export class Post {
  readonly proxy: TcpProxy;
  readonly #fleet: Fleet;
  readonly #place: string;
  readonly #url: string;
  #child: ChildProcess | undefined;
  #spawned = 0;
  /** An end that was asked for, by a signal. */
  #expected = false;

  constructor(fleet: Fleet, place: string, url: string, proxy: TcpProxy) {
    this.#fleet = fleet;
    this.#place = place;
    this.proxy = proxy;
    this.#url = proxy.through(url);
  }

  /** Name of the process that is here now, or was last. */
  get process(): string {
    return `${this.#place}.${this.#spawned}`;
  }

  spawn(): void {
    if (this.#child !== undefined || this.#fleet.closed) return;
    this.#spawned += 1;
    const name = this.process;
    const settings: WorkerSettings = { url: this.#url, name, file: join(this.#fleet.folder, name) };
    const file = fileURLToPath(new URL("./worker.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", file, JSON.stringify(settings)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    this.#expected = false;
    let errors = "";
    child.stderr.on("data", (text) => {
      errors += text;
    });
    child.on("exit", (code, signal) => {
      this.#child = undefined;
      this.#fleet.deaths.push({ process: name, at: now() });
      // One that has only begun to load dies of SIGTERM as any process does.
      const wasLoading = signal === "SIGTERM" && !existsSync(`${settings.file}.journal`);
      if (this.#expected && (code === 0 || signal === "SIGKILL" || wasLoading)) return;
      this.#fleet.troubles.push(`worker ${name} ended by itself with ${signal ?? code}: ${errors.slice(-2_000)}`);
      this.spawn();
    });
  }

  /** SIGKILL or SIGTERM; resolves when the process is gone. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#expected = true;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }
}

/** The worker processes of a run. */
export class Fleet {
  readonly posts: Post[] = [];
  readonly deaths: Death[] = [];
  /** What must not happen and did. */
  readonly troubles: string[] = [];
  /** Where journals and logs are written. */
  readonly folder: string;
  closed = false;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async start(count: number, url: string, folder: string): Promise<Fleet> {
    const fleet = new Fleet(folder);
    for (let n = 0; n < count; n++) {
      fleet.posts.push(new Post(fleet, String.fromCharCode(97 + n), url, await TcpProxy.start(url)));
    }
    for (const post of fleet.posts) post.spawn();
    return fleet;
  }

  /** Stops all of them as a deployment does; each has a minute for it. */
  async stop(): Promise<void> {
    this.closed = true;
    await Promise.all(
      this.posts.map(async (post) => {
        const timer = setTimeout(() => {
          this.troubles.push(`worker ${post.process} did not stop within a minute of SIGTERM`);
          void post.end("SIGKILL");
        }, 60_000);
        await post.end("SIGTERM");
        clearTimeout(timer);
      }),
    );
    await Promise.all(this.posts.map((post) => post.proxy.stop()));
  }
}
