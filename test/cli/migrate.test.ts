import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { rouseHere } from "./support.ts";

const database = testDatabase({ template: "empty" });

async function migrate(...args: string[]) {
  const { code, stdout, stderr } = await rouseHere(["migrate", ...args], { DATABASE_URL: database.url });
  assert.equal(code, 0, stderr);
  return { stdout, stderr };
}

test("B21: migrate installs, tells what it did, and finds nothing left to do", async () => {
  const first = await migrate("--schema", "odd Name", "--shard", "3");
  assert.match(first.stderr, /^applied 000001\S*\.sql in \d+ ms$/m);
  assert.match(first.stdout, /^schema odd Name is at \d{6}\n$/);
  const [row] = await database.query<{ id: string }>(`select "odd Name".enqueue('x') as id`);
  assert.equal(Math.floor(Number(row!.id) / 2 ** 44), 3);

  const again = await migrate("--schema", "odd Name");
  assert.match(again.stdout, /^schema odd Name is at \d{6}, as it was before\n$/);
  assert.equal(again.stderr, "");
  const { stdout } = await rouseHere(["jobs", "--schema", "odd Name"], { DATABASE_URL: database.url });
  assert.match(stdout, new RegExp(`^ +${row!.id} \\| x`, "m"));
});

test("B21: migrate --sql prints what psql installs, and needs no database", async () => {
  const { code, stdout } = await rouseHere(["migrate", "--sql", "--schema", "printed"]);
  assert.equal(code, 0);
  const psql = spawnSync("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.url, "-f", "-"], {
    input: stdout,
  });
  // Where there is no psql the driver does as well.
  if (psql.error) await database.query(stdout);
  else assert.equal(psql.status, 0, String(psql.stderr));
  assert.match((await migrate("--schema", "printed")).stdout, /as it was before/);
});

test("B21: a schema name that cannot be is refused", async () => {
  const { code, stderr } = await rouseHere(["migrate", "--schema", "pg_mine"], { DATABASE_URL: database.url });
  assert.match(
    stderr,
    /^rouse: The schema name "pg_mine" cannot be used: names that start with pg_ belong to PostgreSQL/,
  );
  assert.equal(code, 1);
});
