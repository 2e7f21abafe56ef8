/**
 * Runs the tests on a PostgreSQL 18 of its own, or on the server that DATABASE_URL names, as a role that may create
 * databases there.
 *
 *     npm test                                     all
 *     npm test -- worker enqueue                   files whose path contains one of these
 *     npm test -- worker --test-name-pattern=B6    tests whose name matches
 *
 * Node's runner has no set-up for a whole run and reads no TypeScript, so this compiles all, lists the files, starts the
 * server once and prepares the templates from which each file makes its database (see support/database.ts).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startEmbedded } from "../src/dev/index.ts";
import { migrate } from "../src/migrate/index.ts";
import { compile } from "./compile.ts";
import { RunDatabases } from "./support/run-databases.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Files that take longest, mostly waiting for beats, leases and slots. Started first, so that none ends alone. */
const LONGEST = [
  "worker/network",
  "worker/killed",
  "states/states",
  "worker/quiet",
  "worker/stop",
  "worker/restart",
  "cli/worker",
  "examples/shop",
  "limit/races",
  "limit/backlog",
  "claim/flat",
  "schedule/worker",
  "pooler/pgbouncer",
  "topics/listen",
  "worker/outage",
  "worker/wake",
  "worker/timers",
  "cli/watch",
].map((name) => join("test", `${name}.test.ts`));

async function main(args: string[]): Promise<number> {
  const files = await testFiles(args.filter((argument) => !argument.startsWith("--")));
  const options = args.filter((argument) => argument.startsWith("--"));
  const build = await compile(root);
  try {
    return await testOnServer(build, files, options);
  } finally {
    await rm(build, { recursive: true });
  }
}

async function testOnServer(build: string, files: string[], options: string[]): Promise<number> {
  const server = await startServer();
  try {
    const databases = await RunDatabases.open(server.url);
    try {
      await databases.create("empty");
      await migrate({ connectionString: await databases.create("rouse") });
      return await runTests(build, files, options, {
        ROUSE_TEST_SERVER: server.url,
        ROUSE_TEST_PREFIX: databases.prefix,
      });
    } finally {
      await databases.close();
    }
  } finally {
    await server.stop();
  }
}

async function testFiles(parts: string[]): Promise<string[]> {
  const all = (await readdir(join(root, "test"), { recursive: true }))
    .filter((path) => path.endsWith(".test.ts"))
    .map((path) => join("test", path))
    .sort();
  const files = parts.length === 0 ? all : all.filter((path) => parts.some((part) => path.includes(part)));
  if (files.length === 0) throw new Error(`No test file matches ${parts.join(" or ")}; there are:\n${all.join("\n")}`);
  return [...LONGEST.filter((path) => files.includes(path)), ...files.filter((path) => !LONGEST.includes(path))];
}

async function startServer(): Promise<{ url: string; stop(): Promise<void> }> {
  const url = process.env.DATABASE_URL;
  if (url) {
    console.log("Testing on the server that DATABASE_URL names.");
    return { url, stop: async () => {} };
  }
  return await startEmbedded({
    dataDir: await mkdtemp(join(tmpdir(), "rouse-test-")),
    persistent: false,
    settings: { max_connections: "300" },
  });
}

async function runTests(
  build: string,
  files: string[],
  options: string[],
  environment: Record<string, string>,
): Promise<number> {
  // A test that starts `rouse` must say itself which database it means.
  const { DATABASE_URL: _, ...inherited } = process.env;
  const [runnerFile, limits] = ["runner", "limits"].map((name) => join(build, `test/support/${name}.js`));
  const runner = spawn(
    process.execPath,
    [
      // Each file's process is started with these options too.
      ...["--enable-source-maps", "--import", limits!, runnerFile!],
      ...options,
      ...files.map((file) => join(build, file.replace(/ts$/, "js"))),
    ],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"], env: { ...inherited, ...environment } },
  );
  // We stay to clean up after it.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => runner.kill(signal));
  const [code] = await once(runner, "exit");
  return code ?? 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
