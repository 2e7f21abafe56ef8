import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { test } from "node:test";
import { chooseDatabase } from "../../src/config/database.ts";
import { announceDevServer, withdrawDevServer } from "../../src/config/dev-server.ts";
import { project, write } from "../cli/support.ts";

test("an address, else the PG* variables, else the server of rouse dev, else an error", async () => {
  const folder = await project({});
  const none = { databaseUrl: undefined, environment: {}, folder };
  await assert.rejects(chooseDatabase(none), /no database is named: set DATABASE_URL/);

  await announceDevServer(folder, "postgres://dev");
  assert.equal(await chooseDatabase(none), "postgres://dev");
  assert.equal((await stat(`${folder}/.rouse/dev.json`)).mode & 0o077, 0, "nobody else reads the password");
  assert.equal(await chooseDatabase({ ...none, environment: { PGHOST: "elsewhere" } }), undefined);
  assert.equal(await chooseDatabase({ ...none, databaseUrl: "postgres://named" }), "postgres://named");

  await withdrawDevServer(folder);
  await assert.rejects(chooseDatabase(none), /no database is named/);
});

test("what a rouse dev that was killed left behind is nobody's server", async () => {
  const folder = await project({});
  const child = spawn("true");
  await once(child, "exit");
  await write(folder, { ".rouse/dev.json": JSON.stringify({ pid: child.pid, url: "postgres://gone" }) });
  await assert.rejects(chooseDatabase({ databaseUrl: undefined, environment: {}, folder }), /no database is named/);
});
