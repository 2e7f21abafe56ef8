import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import pg from "pg";

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** A folder of its own for a test, open to all users and removed after the file's last one. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "rouse-test-dev-"));
  await chmod(folder, 0o755);
  folders.push(folder);
  return folder;
}

/** The only row of a query on a connection of its own. */
export async function ask(url: string, sql: string): Promise<Record<string, unknown>> {
  const client = new pg.Client({ connectionString: url });
  // The query tells of an error; a server that dies after it is none.
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows[0];
  } finally {
    await client.end();
  }
}

/** A session on the server that tells when the server closed it. */
export async function watchEnd(url: string): Promise<{ ended: Promise<unknown> }> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  // Being terminated is what it is for.
  client.on("error", () => {});
  return { ended: new Promise((resolve) => client.once("end", resolve)) };
}

export async function serverPid(dataDir: string): Promise<number> {
  return Number((await readFile(join(dataDir, "cluster", "postmaster.pid"), "utf8")).split("\n")[0]);
}

type Holder = { child: ChildProcess; url: string; dataDir: string; nextLine(): Promise<string> };

/** Another process that holds a server, in a process group of its own. */
export async function holdServer(dataDir: string, kind: "persistent" | "throw-away"): Promise<Holder> {
  const program = fileURLToPath(new URL("hold-server.js", import.meta.url));
  const child = spawn(process.execPath, [program, dataDir, kind], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  after(() => child.kill("SIGKILL"));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const nextLine = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("The process that holds the server ended.");
    return value;
  };
  const server: { url: string; dataDir: string } = JSON.parse(await nextLine());
  return { child, ...server, nextLine };
}
