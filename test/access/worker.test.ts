import assert from "node:assert/strict";
import test from "node:test";
import { createRouse, defineSchedule, defineTask, type Rouse } from "../../src/index.ts";
import { createLogger } from "../../src/log.ts";
import { until } from "../support/until.ts";
import { testRoles } from "./support.ts";

const roles = testRoles();
const { database } = roles;
const log = createLogger({ level: "error" });

const effects: string[] = [];
let failures = 0;
const tasks = [
  defineTask("plain", { run: async () => void effects.push("plain") }),
  defineTask("later", { run: async () => void effects.push("later") }),
  defineTask("flaky", {
    retry: { maxAttempts: 3, backoff: "fixed", base: "10ms" },
    run: async () => {
      if (failures++ < 1) throw new Error("not yet");
      effects.push("flaky");
    },
  }),
  defineTask("transacted", {
    run: (_payload, ctx) =>
      ctx.transaction(async (client) => {
        await client.query("insert into app_effect (job) values ($1)", [ctx.job.id]);
      }),
  }),
];

/** A worker of that role's; ends with the test. */
function rouseAs(who: "work" | "enqueue" | "admin", options: Parameters<typeof createRouse>[0] = {}): Rouse {
  return createRouse({ connectionString: roles.url(who), log, ...options });
}

test("least privilege: a worker of the level work runs jobs of an enqueuer end to end", async (t) => {
  await database.query(`create table app_effect (job bigint); grant insert on app_effect to ${roles.name("work")}`);
  const workers = rouseAs("work", {
    tasks,
    schedules: [defineSchedule("often", { cron: "every 1 second", task: "plain" })],
  });
  const enqueuer = rouseAs("enqueue");
  t.after(() => Promise.all([workers.close(), enqueuer.close()]));
  const worker = await workers.startWorker({ name: "least" });
  await enqueuer.enqueue("plain");
  await enqueuer.enqueue("later", {}, { delay: "100ms" });
  await enqueuer.enqueue("flaky");
  await enqueuer.enqueueMany([{ task: "transacted" }, { task: "transacted" }]);
  const owner = await roles.connect("owner");
  await until(
    async () => {
      const { rows } = await owner.query(`
        select count(*) as done from rouse.archive where state = 'succeeded' and scheduled_for is null`);
      return rows[0].done === "5";
    },
    { message: "five jobs have succeeded" },
  );
  await until(() => effects.filter((effect) => effect === "plain").length >= 2, { message: "the schedule has fired" });
  assert.deepEqual(effects.filter((effect) => effect !== "plain").sort(), ["flaky", "later"]);
  const { rows } = await database.pool.query("select count(*)::integer as effects from app_effect");
  assert.deepEqual(rows, [{ effects: 2 }]);
  await worker.stop();
  assert.deepEqual((await owner.query("select from rouse.worker")).rows, []);
});

test("least privilege: only admin stores SQL that runs, and whoever enqueues cannot start it", async (t) => {
  const command = "insert into app_effect (job) values (-1)";
  const schedules = [defineSchedule("sql", { cron: "0 0 1 1 *", command })];
  const workers = rouseAs("work", { schedules });
  const enqueuer = rouseAs("enqueue");
  t.after(() => Promise.all([workers.close(), enqueuer.close()]));

  await assert.rejects(workers.startWorker(), (error: Error & { code?: string; hint?: string }) => {
    assert.equal(error.code, "42501");
    assert.match(
      error.message,
      new RegExp(`role "${roles.name("work")}" may not store the SQL command of schedule "sql"`),
    );
    assert.match(error.hint ?? "", /only the level admin stores it/);
    return true;
  });
  const admin = await roles.connect("admin");
  await admin.query("select rouse.schedule('sql', '0 0 1 1 *', command => $1)", [command]);
  const worker = await workers.startWorker();

  for (const name of ["rouse.command", "rouse.", "rouse.anything"]) {
    await assert.rejects(enqueuer.enqueue(name), (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, "22023");
      assert.match(error.message, new RegExp(`the task "${name}" is Rouse's own`));
      assert.match(error.hint ?? "", /reserved/);
      return true;
    });
  }
  // The bulk door lets the name in; without a schedule there is nothing that it would run.
  const client = await roles.connect("enqueue");
  await client.query("insert into rouse.job (task) values ('rouse.command')");
  const { rows } = await admin.query("select rouse.run_now('sql') as id");
  await until(
    async () =>
      (await admin.query("select from rouse.archive where task = 'rouse.command' and state = 'succeeded'")).rowCount ===
      2,
    { message: "both have ended" },
  );
  const stored = await admin.query("select id from rouse.archive where result ? 'stored_by'");
  assert.deepEqual(stored.rows, [{ id: rows[0].id }]);
  const { rows: run } = await database.pool.query("select from app_effect where job = -1");
  assert.equal(run.length, 1);
  await worker.stop();

  // A command that was changed is a new one.
  const changed = rouseAs("work", { schedules: [defineSchedule("sql", { cron: "0 0 1 1 *", command: "select 1" })] });
  t.after(() => changed.close());
  await assert.rejects(changed.startWorker(), { code: "42501" });
  const byAdmin = rouseAs("admin", { schedules: [defineSchedule("sql", { cron: "0 0 1 1 *", command: "select 1" })] });
  t.after(() => byAdmin.close());
  await (await byAdmin.startWorker()).stop();
});

test("least privilege: a worker whose role has no access does not start", async (t) => {
  const rouse = createRouse({ connectionString: roles.url("stranger"), log, tasks });
  t.after(() => rouse.close());
  await assert.rejects(rouse.startWorker(), { code: "42501" });
});
