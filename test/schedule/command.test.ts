import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { archived, useRouse } from "../worker/support.ts";

const database = testDatabase();
const useClient = useRouse(database);

async function runNow(name: string, options: string): Promise<number> {
  await database.query(`select rouse.schedule($1, '@yearly', ${options})`, [name]);
  const [row] = await database.query("select rouse.run_now($1) as id", [name]);
  return Number(row!.id);
}

async function finished(id: number) {
  let job: Awaited<ReturnType<typeof archived>>;
  await until(
    async () => {
      job = await archived(database, id);
      return job !== undefined;
    },
    { message: "the command's job finishes" },
  );
  return job!;
}

test("A20: a SQL command needs no task code; its rows, notices and author are its result", async () => {
  await database.query(
    "create table session (expires_at timestamptz); insert into session values (now() - interval '1 day'), ('infinity')",
  );
  const id = await runNow(
    "clear sessions",
    `command => $sql$do $$ begin raise notice 'clearing'; end $$; delete from session where expires_at < now() returning 1 as gone$sql$`,
  );
  await useClient([]).startWorker();
  const { state, result } = await finished(id);
  assert.equal(state, "succeeded");
  assert.deepEqual(await database.query("select count(*)::integer as left from session"), [{ left: 1 }]);
  const { stored_by, notices, results } = result as Record<string, unknown>;
  assert.deepEqual(notices, ["clearing"]);
  assert.deepEqual((results as unknown[])[1], { command: "DELETE", rows: 1, data: [{ gone: 1 }] });
  assert.deepEqual(await database.query("select session_user::text as stored_by"), [{ stored_by }]);
});

test("A20: VACUUM runs outside a transaction", async () => {
  const id = await runNow("vacuum", "command => 'vacuum session', autocommit => true");
  await useClient([]).startWorker();
  assert.equal((await finished(id)).state, "succeeded");
});

test("A20: a command that fails leaves nothing behind, and its error", async () => {
  const id = await runNow("broken", "command => 'create table half (); select 1 / 0'");
  await useClient([]).startWorker();
  await until(async () => (await database.query("select from rouse.failures where id = $1", [id])).length > 0, {
    message: "the failure is recorded",
  });
  const [failure] = await database.query("select error from rouse.failures where id = $1", [id]);
  assert.equal(failure!.error, "division by zero");
  assert.deepEqual(await database.query("select to_regclass('half') as half"), [{ half: null }]);
});

test("whoever may enqueue cannot have a stored command run", async () => {
  await assert.rejects(database.query("select rouse.enqueue('rouse.command')"), { code: "22023" });
  await assert.rejects(database.query(`select rouse.enqueue_many('[{"task": "rouse.command"}]')`), { code: "22023" });
});
