import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "./database.ts";

const one = testDatabase({ template: "empty" });
const other = testDatabase({ template: "empty" });

test("each testDatabase is a database of its own", async () => {
  await one.query("create table here (n int)");
  const [row] = await one.query<{ n: number }>("insert into here values ($1) returning n", [1]);
  assert.equal(row?.n, 1);
  await assert.rejects(other.query("select from here"), /relation "here" does not exist/);
});

test("a connection is a session of its own on that database", async () => {
  const [first, second] = [await one.connect(), await one.connect()];
  const session = "select pg_backend_pid() as pid, current_database() as database";
  const [a, b] = [(await first.query(session)).rows[0], (await second.query(session)).rows[0]];
  assert.notEqual(a.pid, b.pid);
  assert.equal(a.database, new URL(one.url).pathname.slice(1));
});

test("the database keeps and counts any text", async () => {
  const [row] = await one.query("select $1 as text, char_length($1) as length", ["grüße 日本 🐓"]);
  assert.deepEqual(row, { text: "grüße 日本 🐓", length: 10 });
});
