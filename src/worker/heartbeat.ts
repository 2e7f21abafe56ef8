import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Worker as Thread } from "node:worker_threads";
import type pg from "pg";
import { RouseError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { Backoff } from "./backoff.ts";
import { addressesForThread } from "./connection.ts";
import type { Beat, FromHeartbeat, HeartbeatData, ToHeartbeat } from "./heartbeat-messages.ts";

export interface HeartbeatOptions {
  /** Where to connect; several: to the one that takes writes. */
  readonly addresses: readonly pg.ClientConfig[];
  readonly schema: string;
  readonly worker: number;
  readonly log: Logger;
  readonly onBeat: (beat: Beat) => void;
  /** The worker was given up for dead; register it again. Said again until `beatFor` names another. */
  readonly onUnknown: (worker: number) => void;
}

/** Time in which the first beat must come. */
const START_TIMEOUT_MS = 15_000;
/** Between two times that the thread is told of activity. */
const ACTIVE_EVERY_MS = 1_000;

/** The handle of the heartbeat thread, which it starts again should it ever fail. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #backoff = new Backoff();
  #worker: number;
  #thread: Thread | undefined;
  #restart: NodeJS.Timeout | undefined;
  #stopped = false;
  #lost = false;
  #beatAt = 0;
  #activeAt = 0;
  #stuck = 0;
  #trusted = false;
  #started: { readonly beat: () => void; readonly fail: (error: Error) => void } | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#worker = options.worker;
  }

  /** Resolves after the first beat. @throws where that does not come: without a heart the worker would be taken for dead. */
  async start(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const beaten = new Promise<void>((resolve, reject) => {
      this.#started = { beat: resolve, fail: reject };
      timer = setTimeout(() => reject(new Error(`no beat within ${START_TIMEOUT_MS / 1000} s`)), START_TIMEOUT_MS);
    });
    try {
      await Promise.all([this.#startThread(), beaten]);
    } catch (error) {
      throw new RouseError(`the worker's heartbeat could not start: ${(error as Error).message}`, { cause: error });
    } finally {
      clearTimeout(timer);
      this.#started = undefined;
    }
  }

  /** Time since the last beat that is known of here, in milliseconds. */
  get silentMs(): number {
    return performance.now() - this.#beatAt;
  }

  /** Whether its session has ended and no other one beats yet: the worker may be taken for dead in two seconds. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Beats for another worker row from now on. */
  beatFor(worker: number): void {
    this.#worker = worker;
    this.#send({ kind: "worker", worker });
  }

  /** Something goes on: beats come as often as while anything runs. */
  active(): void {
    if (performance.now() - this.#activeAt < ACTIVE_EVERY_MS) return;
    this.#activeAt = performance.now();
    this.#send({ kind: "active" });
  }

  /** Says with the next beat how many slots are held by handlers that ignore their signal. */
  tellStuck(stuck: number): void {
    if (stuck === this.#stuck) return;
    this.#stuck = stuck;
    this.#send({ kind: "stuck", stuck });
  }

  /** A pooler stands between, and sessions last all the same. */
  trust(): void {
    if (this.#trusted) return;
    this.#trusted = true;
    this.#send({ kind: "trust" });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#restart);
    this.#started?.fail(new Error("the worker was stopped"));
    const thread = this.#thread;
    if (thread === undefined) return;
    const exited = new Promise<void>((resolve) => thread.once("exit", () => resolve()));
    this.#send({ kind: "stop" });
    const timer = setTimeout(() => void thread.terminate(), 2_000);
    await exited;
    clearTimeout(timer);
  }

  async #startThread(): Promise<void> {
    const { schema } = this.#options;
    const addresses = await addressesForThread(this.#options.addresses);
    if (this.#stopped) return;
    const data: HeartbeatData = { addresses, schema, worker: this.#worker, trusted: this.#trusted };
    const thread = startThread(import.meta.url, "./heartbeat-thread", data);
    this.#thread = thread;
    thread.unref();
    thread.on("message", (message: FromHeartbeat) => this.#receive(message));
    let failure: Error | undefined;
    thread.on("error", (error) => {
      failure = error instanceof Error ? error : new Error(String(error));
    });
    thread.on("exit", () => this.#ended(failure ?? new Error("it ended")));
  }

  #ended(reason: Error): void {
    this.#thread = undefined;
    if (this.#stopped) return;
    this.#lost = true;
    this.#options.log.error("the heartbeat thread failed; starting it again", { error: reason });
    this.#started?.fail(reason);
    this.#restart = setTimeout(() => {
      this.#stuck = 0;
      this.#startThread().catch((error) => this.#ended(error));
    }, this.#backoff.next());
  }

  #send(message: ToHeartbeat): void {
    this.#thread?.postMessage(message);
  }

  #receive(message: FromHeartbeat): void {
    if (this.#stopped) return;
    if (message.kind === "beat") this.#beat(message);
    else if (message.kind === "unknown") this.#options.onUnknown(message.worker);
    else this.#connectionLost(message.reason, message.first);
  }

  #beat(beat: Beat): void {
    this.#beatAt = performance.now();
    this.#backoff.reset();
    this.#started?.beat();
    if (this.#lost) this.#options.log.info("the heartbeat is back");
    this.#lost = false;
    this.#options.onBeat(beat);
  }

  #connectionLost(reason: string, first: boolean): void {
    const { log, addresses } = this.#options;
    if (first) log.warn("the heartbeat has lost the database; connecting again", { error: reason });
    this.#lost = true;
    if (addresses.every(({ password }) => typeof password !== "function")) return;
    addressesForThread(addresses).then(
      (fresh) => this.#send({ kind: "addresses", addresses: fresh }),
      (error: Error) => log.warn("there is no password for the heartbeat to connect with", { error: error.message }),
    );
  }
}

/**
 * Starts a module of this package as a thread. Options of this process, such as modules to import first, are not for it.
 * Where the package runs from its TypeScript sources the thread has to be taught to read them, since loaders do not
 * reach into threads.
 */
function startThread(base: string, module: string, workerData: unknown): Thread {
  if (!base.endsWith(".ts")) return new Thread(new URL(`${module}.js`, base), { workerData, execArgv: [] });
  const tsx = createRequire(base).resolve("tsx/cjs/api");
  const file = fileURLToPath(new URL(`${module}.ts`, base));
  const bootstrap = `require(${JSON.stringify(tsx)}).register(); require(${JSON.stringify(file)});`;
  return new Thread(bootstrap, { eval: true, workerData, execArgv: [] });
}
