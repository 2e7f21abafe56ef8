import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineSchedule, defineTask, type Schedule } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { useRouse } from "../worker/support.ts";

const database = testDatabase();
const useClient = useRouse(database);

const report = defineTask("report", { payload: z.object({ kind: z.string() }), run() {} });
const daily = (name: string, cron = "0 8 * * *") =>
  defineSchedule(name, { cron, task: report, payload: { kind: "sales" } });

/** Starts a worker with these schedules and stops it again: what a deployment does. */
async function deploy(app: string, schedules: Schedule[] | undefined): Promise<void> {
  const rouse = useClient([report], { app, ...(schedules === undefined ? {} : { schedules }) });
  const worker = await rouse.startWorker();
  await worker.stop();
}

const rows = () => database.query("select id, name, spec, next_run_at from rouse.schedule order by name");
const names = async () => (await rows()).map(({ name }) => name);

test("A6: declaring again updates, keeps the id, and removes what is gone from the code", async () => {
  await deploy("shop", [daily("a"), daily("b")]);
  const [a] = await rows();
  await deploy("shop", [daily("a", "0 9 * * *"), daily("c")]);
  assert.deepEqual(await names(), ["a", "c"]);
  const [changed] = await rows();
  assert.equal(changed!.id, a!.id);
  assert.equal(changed!.spec, "0 9 * * *");
  assert.notDeepEqual(changed!.next_run_at, a!.next_run_at);
});

test("A6: declaring the same again writes nothing", async () => {
  await deploy("same", [daily("same")]);
  const before = await database.query("select xmin::text, ctid::text from rouse.schedule where name = 'same'");
  await deploy("same", [daily("same")]);
  assert.deepEqual(
    await database.query("select xmin::text, ctid::text from rouse.schedule where name = 'same'"),
    before,
  );
  await deploy("same", []);
});

test("A6: a schedule that is for another environment does not exist", async () => {
  const elsewhere = defineSchedule("elsewhere", { cron: "@daily", task: report, payload: { kind: "x" }, when: false });
  await deploy("env", [elsewhere, daily("here")]);
  assert.ok(!(await names()).includes("elsewhere"));
  assert.ok((await names()).includes("here"));
  await deploy("env", []);
});

test("A6: made by hand or by another application, a schedule stays", async () => {
  await database.query("select rouse.schedule('by hand', '@daily', task => 'report')");
  await deploy("other", [daily("others")]);
  await deploy("mine", [daily("mine"), daily("by hand", "@hourly")]);
  await deploy("mine", []);
  const left = await names();
  assert.ok(left.includes("by hand") && left.includes("others") && !left.includes("mine"), String(left));
  await deploy("other", []);
});

test("A6: a worker without schedules leaves those there are alone", async () => {
  await deploy("quiet", [daily("quiet")]);
  await deploy("quiet", undefined);
  assert.ok((await names()).includes("quiet"));
});

test("a pause survives the next deployment", async () => {
  await deploy("ops", [daily("paused")]);
  await database.query("select rouse.pause(schedule => 'paused')");
  await deploy("ops", [daily("paused", "@hourly")]);
  assert.deepEqual(await database.query("select next from rouse.schedules where schedule = 'paused'"), [
    { next: "paused" },
  ]);
});

test("a bad spec, zone or payload stops the worker from starting, and says which schedule", async () => {
  const start = (schedule: Schedule) => useClient([report], { schedules: [schedule] }).startWorker();
  await assert.rejects(start(daily("spec", "61 * * * *")), /schedule "spec".*minute/);
  const zone = defineSchedule("zone", {
    cron: "@daily",
    timezone: "Europe/Berlim",
    task: report,
    payload: { kind: "x" },
  });
  await assert.rejects(start(zone), /schedule "zone".*Europe\/Berlim/);
  const payload = defineSchedule("payload", {
    cron: "@daily",
    task: report,
    payload: { kind: 1 as unknown as string },
  });
  await assert.rejects(start(payload), /schedule "payload".*kind/s);
  assert.ok(!(await names()).includes("spec"));
});

test("bad options of defineSchedule are refused by name", () => {
  assert.throws(() => daily(""), /schedule name ""/);
  assert.throws(() => defineSchedule("x", { cron: "@daily" } as never), /schedule "x" needs one of task and command/);
  assert.throws(() => defineSchedule("x", { task: "report" } as never), /schedule "x".*cron/);
  assert.throws(
    () => defineSchedule("x", { cron: "@daily", task: "report", jitter: "soon" }),
    /schedule "x": jitter "soon" is not a duration/,
  );
  assert.throws(() => defineSchedule("x", { cron: "@daily", task: "report", timezon: "UTC" } as never), /timezon/);
});
