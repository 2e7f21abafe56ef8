import assert from "node:assert/strict";
import test from "node:test";
import pg from "pg";
import { migrate } from "../../src/migrate/index.ts";
import { type OwnServer, ownServer } from "../support/servers.ts";

async function value(server: OwnServer, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  const { rows } = await client.query({ text: sql, rowMode: "array" }).finally(() => client.end());
  return rows[0]?.[0];
}

test("a server that went through pg_upgrade is no copy, though its system identifier is another", async (t) => {
  const { server, cleanUp } = await ownServer();
  t.after(cleanUp);
  const identifier = "select system_identifier from pg_control_system()";
  await server.start();
  await migrate({ connectionString: server.url() });
  const before = await value(server, identifier);
  await server.stop();
  const upgraded = await server.upgraded();
  if (upgraded === undefined) {
    t.skip("there is no pg_upgrade");
    return;
  }
  await upgraded.start();
  assert.notEqual(await value(upgraded, identifier), before);
  assert.equal(await value(upgraded, "select rouse.is_copy()"), false);
  assert.equal(typeof (await value(upgraded, "select rouse.register_v1('w')")), "number");
});
