import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import pg from "pg";
import { freePort } from "../../src/dev/port.ts";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { project, rouse, startRouse } from "./support.ts";

const database = testDatabase({ template: "empty" });

const TASKS = `
import { defineTask } from "rouse";
export const hello = defineTask("hello", { run(_, ctx) { ctx.log.info("hello there"); } });
`;

test("A1, A2, A14: rouse dev is all it takes: a server, migrated, and a worker; other commands find it", async () => {
  const folder = await project({ "tasks.ts": TASKS });
  const port = String(await freePort());
  const environment = { ROUSE_LOG_FORMAT: "text" };
  const dev = startRouse(["dev", "--port", port], { folder, environment });
  await dev.says("worker started");
  const { code, stdout, stderr } = await rouse(["enqueue", "hello"], { folder });
  assert.deepEqual([code, stdout], [0, "1\n"], stderr);
  await dev.says("hello there");

  const [, url] = /DATABASE_URL=(postgres:\S+)/.exec(dev.stdout) ?? [];
  assert.ok(url, dev.stdout);
  assert.match(dev.stdout, /^ {2}(psql postgres:|npx rouse sql "select)/m);
  assert.equal(new URL(url).port, port);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await until(async () => (await client.query("select from rouse.jobs where state = 'succeeded'")).rowCount === 1, {
    message: "the job has succeeded",
  });
  await client.end();

  const second = await rouse(["dev"], { folder });
  assert.match(second.stderr, /^rouse: .*is in use: a server runs on it/);
  assert.equal(second.code, 1);

  dev.kill("SIGINT");
  assert.equal((await dev.exited).code, 0, dev.stderr);
  await assert.rejects(new pg.Client({ connectionString: url }).connect(), /ECONNREFUSED/);
  assert.ok(!existsSync(`${folder}/.rouse/dev.json`));
  assert.match((await rouse(["jobs"], { folder })).stderr, /no database is named/);

  const again = startRouse(["dev", "--port", port], { folder, environment });
  await again.says("worker started");
  assert.ok(again.stdout.includes(url), "the same address, with the same data");
  assert.match((await rouse(["jobs"], { folder })).stdout, /^ +1 \| hello \| succeeded/m);
  again.kill("SIGTERM");
  assert.equal((await again.exited).code, 0);
});

test("A14: rouse dev uses the server that DATABASE_URL names", async () => {
  const folder = await project({ "tasks.ts": TASKS });
  const environment = { DATABASE_URL: database.url, ROUSE_LOG_FORMAT: "text", ROUSE_SCHEMA: "jobs" };
  const dev = startRouse(["dev"], { folder, environment });
  await dev.says("worker started");
  await database.query("select jobs.enqueue('hello')");
  await dev.says("hello there");
  dev.kill("SIGINT");
  const { code, stdout } = await dev.exited;
  assert.deepEqual([code, stdout], [0, ""]);
  assert.ok(!existsSync(`${folder}/.rouse`));
});
