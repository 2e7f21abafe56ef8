import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import test, { after } from "node:test";
import { promisify } from "node:util";
import pg from "pg";
import { defineTask } from "../../src/index.ts";
import { migrate } from "../../src/migrate/index.ts";
import { withDatabase } from "../support/urls.ts";
import { useRouse } from "../worker/support.ts";

const server = process.env.ROUSE_TEST_SERVER!;
const original = `${process.env.ROUSE_TEST_PREFIX}_original_${process.pid}`;
const copy = `${process.env.ROUSE_TEST_PREFIX}_copy_${process.pid}`;
const copyUrl = withDatabase(server, copy);
const rouse = useRouse({ url: copyUrl });

async function query<Row extends pg.QueryResultRow>(address: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: address });
  await client.connect();
  return (await client.query<Row>(sql).finally(() => client.end())).rows;
}

after(async () => {
  for (const name of [original, copy]) await query(server, `drop database if exists ${name} with (force)`);
});

let sent = 0;
const mail = defineTask("mail", { run: async () => void sent++ });

async function refuses(): Promise<void> {
  await assert.rejects(rouse([mail]).startWorker(), (error: Error & { code?: string; hint?: string }) => {
    assert.equal(error.code, "55000");
    assert.match(error.message, new RegExp(`the database "${copy}" is a copy`));
    assert.match(error.hint ?? "", /rouse doctor --confirm-copy, or select confirm_copy\(\)/);
    return true;
  });
}

test("no worker starts on a database made from another until that is confirmed", async () => {
  await query(server, `create database ${original} template template0`);
  await migrate({ connectionString: withDatabase(server, original) });
  await query(withDatabase(server, original), "select rouse.enqueue('mail')");
  await query(server, `create database ${copy} template ${original}`);
  await refuses();
  // A migration of the copy confirms nothing.
  await migrate({ connectionString: copyUrl });
  await refuses();
  assert.equal(sent, 0);

  assert.deepEqual(await query(copyUrl, "select rouse.confirm_copy() as was_copy"), [{ was_copy: true }]);
  assert.deepEqual(await query(copyUrl, "select rouse.confirm_copy() as was_copy"), [{ was_copy: false }]);
  const worker = await rouse([mail]).startWorker();
  await worker.drained();
  assert.equal(sent, 1);
});

test("what a database goes through in its life makes no copy of it", async () => {
  await query(server, `alter database ${copy} rename to ${copy}_renamed`);
  await query(server, `alter database ${copy}_renamed rename to ${copy}`);
  await query(copyUrl, "vacuum full rouse.setting");
  await query(copyUrl, "alter table rouse.setting alter column shard type integer");
  assert.deepEqual(await query(copyUrl, "select rouse.is_copy() as is_copy"), [{ is_copy: false }]);
});

const pgDump = spawnSync("pg_dump", ["--version"], { encoding: "utf8" });
const dumpMajor = Number(/(\d+)\./.exec(pgDump.stdout ?? "")?.[1] ?? 0);

test("no worker starts on a restored dump, wherever it is restored", async (t) => {
  const [row] = await query<{ major: number }>(
    server,
    "select current_setting('server_version_num')::integer / 10000 as major",
  );
  if (dumpMajor < row!.major) {
    t.skip(`there is no pg_dump of version ${row!.major}`);
    return;
  }
  await query(server, `drop database ${copy} with (force)`);
  await query(server, `create database ${copy} template template0`);
  const run = promisify(execFile);
  const dump = await run("pg_dump", [withDatabase(server, original)], { maxBuffer: 2 ** 28 });
  const restored = run("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", copyUrl]);
  restored.child.stdin!.end(dump.stdout);
  await restored;
  await refuses();
  await query(copyUrl, "select rouse.confirm_copy()");
  const worker = await rouse([mail]).startWorker();
  await worker.drained();
  assert.equal(sent, 2);
});
