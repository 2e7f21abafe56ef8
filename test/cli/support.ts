import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { run } from "../../src/cli/run.ts";
import { until } from "../support/until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const main = join(root, "src/cli/main.js");

/** A folder with these files that can import rouse and zod; removed after the file's tests. */
export async function project(files: Readonly<Record<string, string>>, manifest: object = { type: "module" }) {
  const folder = await mkdtemp(join(tmpdir(), "rouse-cli-"));
  folders.push(folder);
  // An embedded server that root starts runs as somebody else, who has to get in.
  await chmod(folder, 0o755);
  const rouse = join(folder, "node_modules/rouse");
  await mkdir(rouse, { recursive: true });
  await symlink(join(root, "node_modules/zod"), join(folder, "node_modules/zod"));
  await symlink(join(root, "node_modules/pg"), join(folder, "node_modules/pg"));
  await writeFile(join(rouse, "package.json"), '{ "name": "rouse", "type": "module", "exports": "./index.js" }');
  const sources = pathToFileURL(join(root, "src/index.js")).href;
  await writeFile(join(rouse, "index.js"), `export * from ${JSON.stringify(sources)};\n`);
  await write(folder, { "package.json": JSON.stringify(manifest), ...files });
  return folder;
}

export async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Standard input. */
  readonly input?: string;
  /** With a channel to this process, as `--watch` has to its worker. */
  readonly ipc?: boolean;
}

/** A `rouse` that runs. */
export class Running {
  readonly process: ChildProcess;
  readonly exited: Promise<Outcome>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], { folder = tmpdir(), environment = {}, input, ipc = false }: RunOptions) {
    this.process = spawn(process.execPath, [main, ...args], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
      stdio: ["pipe", "pipe", "pipe", ipc ? "ipc" : "ignore"],
    });
    this.process.stdin!.on("error", () => {});
    this.process.stdin!.end(input);
    this.process.stdout!.setEncoding("utf8").on("data", (text) => {
      this.stdout += text;
    });
    this.process.stderr!.setEncoding("utf8").on("data", (text) => {
      this.stderr += text;
    });
    this.exited = once(this.process, "close").then(([code, signal]) => {
      return { code, signal, stdout: this.stdout, stderr: this.stderr };
    });
    started.add(this.process);
    void this.exited.then(() => started.delete(this.process));
  }

  /** Waits until a line of the log says this. */
  async says(text: string | RegExp, from = 0): Promise<void> {
    const ended = this.exited.then(({ code }) => `it ended with ${code}`);
    await until(
      async () => {
        if (this.stderr.slice(from).search(text) >= 0) return true;
        const end = await Promise.race([ended, undefined]);
        if (end !== undefined) throw new Error(`rouse never said ${text}; ${end} after:\n${this.stderr}`);
        return false;
      },
      { message: `rouse says ${text}; it said:\n${this.stderr}` },
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }
}

const started = new Set<ChildProcess>();
const detached = new Set<number>();
const folders: string[] = [];
const killAll = () => {
  for (const child of started) child.kill("SIGKILL");
  for (const pid of detached) if (isRunning(pid)) process.kill(pid, "SIGKILL");
};
// Where a limit of time ends this process there is no after hook.
process.on("exit", killAll);
after(async () => {
  killAll();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** Kills a process that outlives the `rouse` which started it, after the file's tests at the latest. */
export function endAfterTests(pid: number): void {
  detached.add(pid);
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Starts `rouse`, which is killed after the file's tests at the latest. */
export function startRouse(args: readonly string[], options: RunOptions = {}): Running {
  return new Running(args, options);
}

/**
 * Runs `rouse` within this process, which is much quicker, one call at a time. Not for what concerns processes: standard
 * input, signals, loading tasks.
 */
export async function rouseHere(args: readonly string[], environment: Record<string, string> = {}): Promise<Outcome> {
  const before = Object.keys(environment).map((name) => [name, process.env[name]] as const);
  const streams = { stdout: "", stderr: "" };
  const restore = (["stdout", "stderr"] as const).map((name) => {
    const stream = process[name];
    const { write } = stream;
    stream.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
      // The test runner reports over the same stream, in bytes.
      if (typeof chunk !== "string") return write.call(stream, chunk, ...rest);
      streams[name] += chunk;
      return true;
    }) as typeof write;
    return () => {
      stream.write = write;
    };
  });
  Object.assign(process.env, environment);
  try {
    return { code: await run(args), signal: null, ...streams };
  } finally {
    for (const put of restore) put();
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** Runs `rouse` to its end. */
export function rouse(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return startRouse(args, options).exited;
}
