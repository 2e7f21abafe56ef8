import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { migrateWith } from "../../src/migrate/migrate.ts";
import { migrationLockKey } from "../../src/migrate/schema.ts";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { colour, columns, migrationFolder, nameIndex, newSchema, size, thing } from "./support.ts";

const database = testDatabase({ template: "empty" });
const waiting = "another process is migrating this schema, waiting for it";

test("B21: of four processes that migrate at once each file is applied by one, the others wait and find nothing", async () => {
  const schema = newSchema();
  const folder = await migrationFolder(thing, nameIndex, colour, size);
  const holder = await database.connect();
  await holder.query("select pg_advisory_lock($1)", [migrationLockKey(schema)]);
  const processes = [1, 2, 3, 4].map(() => migratingProcess(database.url, schema, folder));
  await Promise.all(processes.map(({ saysWaiting }) => saysWaiting));
  assert.deepEqual(await database.query("select from pg_namespace where nspname = $1", [schema]), []);
  await holder.query("select pg_advisory_unlock_all()");
  const applied = await Promise.all(processes.map(({ applied }) => applied));
  assert.deepEqual(applied.flat().sort(), ["000001.sql", "000002.sql", "000003.sql", "000004.sql"]);
  assert.deepEqual(await columns(database, schema), ["id", "name", "colour", "size"]);
});

function migratingProcess(...args: string[]): { saysWaiting: Promise<unknown>; applied: Promise<string[]> } {
  const script = fileURLToPath(new URL("migrate-process.js", import.meta.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  const saysWaiting = new Promise<void>((resolve, reject) => {
    reader.on("line", (line) => {
      lines.push(line);
      if (line === waiting) resolve();
    });
    child.on("exit", (code) => reject(new Error(`The process ended with ${code} before it waited.`)));
  });
  const applied = Promise.all([once(child, "exit"), once(reader, "close")]).then(([[code]]) => {
    assert.equal(code, 0);
    const done = lines.find((line) => line.startsWith("done "));
    return JSON.parse(done?.slice(5) ?? "null") as string[];
  });
  return { saysWaiting, applied };
}

test("B21: an index that waits for an old transaction does not deadlock with a process that waits for the index", async () => {
  const schema = newSchema();
  const folder = await migrationFolder(thing, nameIndex);
  await migrateWith({ connectionString: database.url, schema }, { folder: await migrationFolder(thing) });
  const old = await database.connect();
  await old.query("begin isolation level repeatable read");
  await old.query(`insert into ${schema}.thing values (1, 'old')`);

  const builder = migrateWith({ connectionString: database.url, schema }, { folder });
  const building =
    "select from pg_stat_progress_create_index as p join pg_class as c on c.oid = p.relid where c.relnamespace = $1::regnamespace";
  await until(async () => (await database.query(building, [schema])).length > 0, {
    message: "the index is being built",
  });
  const [waits, hasToWait] = latch();
  const waiter = migrateWith({ connectionString: database.url, schema, log: hasToWait }, { folder });
  await waits;
  await old.query("commit");
  assert.deepEqual((await builder).applied, ["000002.sql"]);
  assert.deepEqual((await waiter).applied, []);
});

test("B21: the lock of one installation neither stops another one nor the application's own locks", async () => {
  const [busy, free] = [newSchema(), newSchema()];
  const folder = await migrationFolder(thing);
  const holder = await database.connect();
  await holder.query("select pg_advisory_lock($1)", [migrationLockKey(busy)]);
  const client = await database.connect();
  await client.query("select pg_advisory_lock(1), pg_advisory_lock(1, 2)");
  await migrateWith({ client, schema: free }, { folder });
  const locks = await client.query(
    "select classid, objid from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() order by classid",
  );
  assert.deepEqual(locks.rows, [
    { classid: 0, objid: 1 },
    { classid: 1, objid: 2 },
  ]);
});

test("B21: a table's lock that never comes free ends in an error that names who holds it", async () => {
  const schema = newSchema();
  await migrateWith({ connectionString: database.url, schema }, { folder: await migrationFolder(thing) });
  const holder = await database.connect();
  await holder.query("set application_name = 'the culprit'");
  await holder.query("begin");
  await holder.query(`lock table ${schema}.thing in access share mode`);
  const folder = await migrationFolder(thing, colour);
  const options = { connectionString: database.url, schema };
  const { rows } = await holder.query<{ pid: number }>("select pg_backend_pid() as pid");
  await assert.rejects(migrateWith(options, { folder, lockTimeout: 100, lockTries: 2 }), {
    name: "MigrationError",
    message: new RegExp(
      `could not get a lock in 2 tries of 100 ms; nothing of it was applied\\. Blocked by pid ${rows[0]?.pid} ` +
        "\\(role .*application the culprit, idle in transaction, in a transaction for .*last query: .*\\)\\. End that transaction",
    ),
  });
  assert.deepEqual(await columns(database, schema), ["id", "name"]);

  const client = await database.connect();
  await assert.rejects(migrateWith({ client, schema }, { folder, lockTimeout: 10, lockTries: 1 }), /pg_blocking_pids/);
  await holder.query("rollback");
});

test("B21: a migration that waits for a table's lock lets go of its own and tries again", async () => {
  const schema = newSchema();
  await migrateWith({ connectionString: database.url, schema }, { folder: await migrationFolder(thing) });
  const holder = await database.connect();
  await holder.query("begin");
  await holder.query(`select from ${schema}.thing`);
  const [waits, log] = latch();
  const folder = await migrationFolder(thing, colour);
  const migrating = migrateWith({ connectionString: database.url, schema, log }, { folder, lockTimeout: 50 });
  assert.match(await waits, /^waiting for a lock, try 1 of 30/);
  // Between the tries nothing of the migration is in the way.
  await database.query(`set lock_timeout = '5s'; select count(*) from ${schema}.thing`);
  await holder.query("commit");
  assert.deepEqual((await migrating).applied, ["000002.sql"]);
});

/** A promise of the first line that the function is called with. */
function latch(): [Promise<string>, (line: string) => void] {
  let resolve: (line: string) => void = () => {};
  const promise = new Promise<string>((done) => {
    resolve = done;
  });
  return [promise, resolve];
}
