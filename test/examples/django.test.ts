import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { manage, schedules } from "../../examples/django/tasks.ts";
import { testDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { archived, useRouse } from "../worker/support.ts";

const FOLDER = fileURLToPath(new URL("../../examples/django/", import.meta.url));
// Debian's own Python is the one that its packages belong to, wherever another one stands before it on the PATH.
const PYTHON = ["/usr/bin/python3", "python3"].find(
  (python) => spawnSync(python, ["-c", "import django, psycopg2"]).status === 0,
);
const skip =
  PYTHON === undefined && "there is no python3 with Django and psycopg2 (Debian: python3-django, python3-psycopg2)";

const database = testDatabase();
const useClient = useRouse(database);

const django = (...args: string[]) =>
  promisify(execFile)(PYTHON!, ["manage.py", ...args], {
    cwd: FOLDER,
    env: { ...process.env, DATABASE_URL: database.url, PYTHONDONTWRITEBYTECODE: "1" },
  });

async function startWorker() {
  process.env.DATABASE_URL = database.url;
  process.env.PYTHON = PYTHON;
  process.env.PYTHONDONTWRITEBYTECODE = "1";
  const rouse = useClient([manage], { schedules, app: "django" });
  return { rouse, worker: await rouse.startWorker({ grace: 0 }) };
}

async function state(id: number): Promise<string> {
  let job: Awaited<ReturnType<typeof archived>>;
  await until(
    async () => {
      job = await archived(database, id);
      return job !== undefined;
    },
    { message: `job ${id} finishes` },
  );
  return job!.state;
}

before(async () => {
  if (skip) return;
  await until(async () => (await database.query("select 1").catch(() => [])).length > 0, {
    message: "the database is there",
  });
  await django("migrate", "--verbosity", "0");
});

test("A11: Django enqueues inside transaction.atomic(): a job for the commit, none for the rollback", {
  skip,
}, async () => {
  await django("sign_up", "ada@example.com");
  await assert.rejects(django("sign_up", "bob@example.com", "--fail"), /the view failed after it had enqueued/);
  assert.deepEqual(await database.query("select task, payload->>'command' as command from rouse.job"), [
    { task: "manage", command: "welcome" },
  ]);
});

test("A20: jobs and schedules run management commands; session purge is SQL", { skip }, async () => {
  await database.query(
    "insert into django_session values ('old', '', now() - interval '1 day'), ('new', '', now() + interval '1 day')",
  );
  const { rouse } = await startWorker();
  assert.equal((await database.query("select from rouse.schedule where source = 'code:django'")).length, 6);
  const [purge] = await database.query("select rouse.run_now('purge sessions') as id");
  const [report] = await database.query("select rouse.run_now('monthly report') as id");
  assert.equal(await state(Number(purge!.id)), "succeeded");
  assert.deepEqual(await database.query("select session_key from django_session"), [{ session_key: "new" }]);
  assert.equal(await state(Number(report!.id)), "succeeded");
  assert.deepEqual(await database.query("select kind, customers from shop_report where kind = 'monthly'"), [
    { kind: "monthly", customers: 1 },
  ]);
  // The welcome mail of the first test is queued by its job and sent by the schedule of every 5 seconds.
  await until(
    async () =>
      (await database.query("select from shop_mail where \"to\" = 'ada@example.com' and sent_at is not null"))
        .length === 1,
    { message: "Ada's mail is sent" },
  );
  const refused = await rouse.enqueue("manage", { command: "dbshell" } as never).then(
    () => "accepted",
    (error: Error) => error.message,
  );
  assert.match(refused, /command/);
});

test("the job's signal stops the command", { skip }, async () => {
  const { rouse, worker } = await startWorker();
  const { id } = await rouse.enqueue(manage, { command: "sleep" });
  await rouse.log.line(/^sleeping$/);
  const child = () => spawnSync("pgrep", ["-f", "manage.py sleep"]).stdout.toString().trim();
  assert.notEqual(child(), "");
  await worker.stop();
  await until(() => child() === "", { message: "the command has ended" });
  assert.deepEqual(await database.query("select state, attempt from rouse.job where id = $1", [id]), [
    { state: "ready", attempt: 0 },
  ]);
});
