import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const database = testDatabase();
const example = (name: string) => fileURLToPath(new URL(`../../examples/other-languages/${name}`, import.meta.url));
const code = async (name: string) =>
  (await readFile(example(name), "utf8")).split("\n").filter((line) => line !== "" && !/^(--|#)/.test(line));

/** Debian's own Python is the one that its packages belong to. */
const PYTHON = ["/usr/bin/python3", "python3"].find(
  (python) => spawnSync(python, ["-c", "import psycopg2"]).status === 0,
);

beforeEach(async () => {
  await database.query("delete from rouse.job; delete from rouse.archive; delete from rouse.attempt_error");
  await database.query(
    `select rouse.enqueue('greet', '{"name": "Ada"}'), rouse.enqueue('greet', '{}'), rouse.enqueue('other')`,
  );
});

const ended = () =>
  database.query(
    `select state, result, last_error from rouse.jobs where task = 'greet' and finished_at is not null order by id`,
  );

const EXPECTED = [
  { state: "succeeded", result: "Hello, Ada", last_error: null },
  { state: "failed", result: null, last_error: "nobody to greet" },
];

test("B25: a worker of some fifteen lines of PL/pgSQL claims, completes, fails and beats", async () => {
  const connection = await database.connect();
  await connection.query((await code("worker.sql")).join("\n"));
  assert.deepEqual(await ended(), EXPECTED);
  assert.deepEqual(await database.query("select task, state from rouse.job"), [{ task: "other", state: "ready" }]);
  assert.deepEqual(await database.query("select from rouse.worker"), []);
});

test("B25: a worker of fifteen lines of Python claims, completes, fails and beats, and is woken", {
  skip: PYTHON === undefined && "there is no python3 with psycopg2 (Debian: python3-psycopg2)",
}, async () => {
  assert.ok((await code("worker.py")).length <= 15);
  const worker = spawn(PYTHON!, [example("worker.py")], {
    env: { ...process.env, DATABASE_URL: database.url },
    stdio: ["ignore", "inherit", "inherit"],
  });
  try {
    await until(async () => (await ended()).length === 2, { message: "both jobs have ended" });
    assert.deepEqual(await ended(), EXPECTED);
    const [{ beats }] = (await database.query("select beats from rouse.worker")) as [{ beats: string }];
    await database.query(`select rouse.enqueue('greet', '{"name": "Bob"}')`);
    await until(async () => (await ended()).length === 3, { message: "the third job has ended" });
    assert.ok(Number(beats) >= 1);
  } finally {
    worker.kill("SIGKILL");
    await once(worker, "exit");
  }
});
