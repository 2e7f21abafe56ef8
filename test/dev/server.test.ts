import assert from "node:assert/strict";
import { once } from "node:events";
import { access, chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { nextFreePort } from "../../src/dev/port.ts";
import { startEmbedded } from "../../src/dev/server.ts";
import { ask, temporaryFolder, watchEnd } from "./support.ts";

const asRoot = process.getuid?.() === 0 ? false : "needs root";

test("a throw-away server starts, is UTF-8 whatever the environment, and is gone with its data after stop", async () => {
  const dataDir = join(await temporaryFolder(), "data");
  const server = await startEmbedded({
    dataDir,
    persistent: false,
    settings: { work_mem: "5MB" },
    database: "Odd name",
  });
  const row = await ask(
    server.url,
    `select current_database() as database, current_setting('work_mem') as work_mem, current_setting('fsync') as fsync,
      pg_encoding_to_char(encoding) as encoding, datlocprovider as provider, lower('Ä') as lower
    from pg_database where datname = current_database()`,
  );
  assert.deepEqual(row, {
    database: "Odd name",
    work_mem: "5MB",
    fsync: "off",
    encoding: "UTF8",
    provider: "b",
    lower: "ä",
  });
  const session = await watchEnd(server.url);
  await server.stop();
  await session.ended;
  await assert.rejects(access(dataDir), /ENOENT/);
});

// One for all tests that only need some persistent server's data: making it takes longer than anything else here.
let kept: string;
before(async () => {
  kept = await temporaryFolder();
  await (await startEmbedded({ dataDir: kept })).stop();
});

test("a persistent server keeps its data and its password, and its writes are durable", async () => {
  const first = await startEmbedded({ dataDir: kept, database: "app" });
  await ask(first.url, "create table kept as select 42 as n");
  assert.deepEqual(await ask(first.url, "show fsync"), { fsync: "on" });
  await first.stop();
  const second = await startEmbedded({ dataDir: kept, database: "app", port: first.port });
  after(() => second.stop());
  assert.equal(second.url, first.url);
  assert.deepEqual(await ask(second.url, "select n from kept"), { n: 42 });
});

test("only the password opens the server", async () => {
  const server = await startEmbedded({ dataDir: kept });
  after(() => server.stop());
  const url = new URL(server.url);
  url.password = "wrong";
  await assert.rejects(ask(url.href, "select 1"), /password authentication failed/);
});

test("where the port is taken, the next free one is used and reported", async () => {
  const taken = createServer().listen(await nextFreePort(30_000), "127.0.0.1");
  after(() => taken.close());
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  const lines: string[] = [];
  const dataDir = await temporaryFolder();
  const server = await startEmbedded({ dataDir, persistent: false, port, log: (line) => lines.push(line) });
  after(() => server.stop());
  assert.ok(server.port > port);
  assert.deepEqual(lines, [`Port ${port} is taken, using ${server.port}.`]);
  assert.deepEqual(await ask(server.url, "select 1 as n"), { n: 1 });
});

test("a second start on a data directory in use names the running server", async () => {
  const server = await startEmbedded({ dataDir: kept });
  after(() => server.stop());
  await assert.rejects(
    startEmbedded({ dataDir: kept }),
    new RegExp(`in use: a server runs on it .*port ${server.port}\\), started by process ${process.pid}`),
  );
  assert.deepEqual(await ask(server.url, "select 1 as n"), { n: 1 });
});

test("a folder with anything else in it is left alone", async () => {
  const dataDir = await temporaryFolder();
  await writeFile(join(dataDir, "novel.txt"), "Chapter 1");
  await assert.rejects(startEmbedded({ dataDir, persistent: false }), /is not empty and was not made by Rouse/);
  await access(join(dataDir, "novel.txt"));
});

test("data to be kept is not made a throw-away server's", async () => {
  await assert.rejects(startEmbedded({ dataDir: kept, persistent: false }), /holds data to be kept/);
});

test("data that root's server could not get at goes where it can", { skip: asRoot }, async () => {
  const home = await temporaryFolder();
  await chmod(home, 0o700);
  const dataDir = join(home, "app", "data");
  const lines: string[] = [];
  const server = await startEmbedded({ dataDir, persistent: false, log: (line) => lines.push(line) });
  await server.stop();
  assert.match(
    lines.join(),
    new RegExp(`runs as \\w+ and cannot enter ${dataDir}; its data is in ${server.dataDir}\\.`),
  );
  await assert.rejects(access(server.dataDir), /ENOENT/);
});

test("a wrong setting shows what the server said", async () => {
  await assert.rejects(
    startEmbedded({ dataDir: kept, settings: { work_mem: "lots" } }),
    /did not start[\s\S]*invalid value for parameter "work_mem": "lots"/,
  );
});
