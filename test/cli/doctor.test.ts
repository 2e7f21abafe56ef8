import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { rouseHere } from "./support.ts";

const database = testDatabase();

function doctor(...args: string[]) {
  return rouseHere(["doctor", ...args], { DATABASE_URL: database.url });
}

test("doctor says that nothing is wrong, and exits with 0 also where there are but warnings", async () => {
  assert.deepEqual(await doctor(), { code: 0, signal: null, stdout: "", stderr: "nothing is wrong\n" });
  assert.equal((await doctor("--json")).stdout, "");
  await database.query(`insert into rouse.worker (name, stuck, concurrency) values ('w', 1, 2)`);
  const { code, stdout } = await doctor();
  assert.equal(code, 0);
  assert.match(stdout, /^warning: worker "w": 1 of its 2 slots .*\n {2}A handler that .*\n {2}Let the task .*\n$/);
  await database.query("delete from rouse.worker");
});

test("doctor exits with 1 where a finding is an error, worst first, as text and as JSON", async () => {
  await database.query("update rouse.setting set home_table = 1");
  const text = await doctor();
  assert.equal(text.code, 1);
  assert.match(text.stdout, /^error: database "\w+": it is a copy/);
  const json = await doctor("--json");
  assert.equal(json.code, 1);
  const [finding, ...others] = json.stdout.trimEnd().split("\n");
  assert.deepEqual(others, []);
  assert.deepEqual(Object.keys(JSON.parse(finding!)), ["severity", "subject", "finding", "why", "remedy"]);
});

test("doctor --confirm-copy lets workers run on a copy", async () => {
  const confirmed = await doctor("--confirm-copy");
  assert.deepEqual(confirmed, {
    code: 0,
    signal: null,
    stdout: "",
    stderr: "workers may run on this copy from now on\nnothing is wrong\n",
  });
  assert.match((await doctor("--confirm-copy")).stderr, /^this database is no copy\n/);
});

test("doctor compares the schema with this version of Rouse", async () => {
  await database.query("update rouse.migration set hash = 'sha1:0'");
  const { code, stdout } = await doctor();
  assert.equal(code, 1);
  assert.match(stdout, /^error: schema "rouse": .*was migrated with another 000001.*\.sql/);
});

test("doctor tells what to grant to whom may not look", async () => {
  const role = `rouse_test_doctor_${process.pid}`;
  await database.query(`create role ${role} login password 'x'`);
  try {
    const url = new URL(database.url);
    url.username = role;
    url.password = "x";
    const { code, stderr } = await rouseHere(["doctor"], { DATABASE_URL: url.href });
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`grant_access\\('${role}', 'view'\\)`));
  } finally {
    await database.query(`drop role ${role}`);
  }
});
