import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { project, rouse, write } from "./support.ts";

const database = testDatabase();

/** Declares neither a schedule nor a watch. */
const OTHER = `
import { defineTask } from "rouse";
export const quick = defineTask("quick", { run() {} });
`;

test("A1, A6: schedules of task files become the application's, and go with the code; chosen files leave others alone", async () => {
  const schedules = async () => await database.query("select name, spec from rouse.schedule order by name");
  const nightly = (cron: string) => `
import { defineSchedule, defineTask } from "rouse";
export const clean = defineTask("clean", { run() {} });
export default [defineSchedule("nightly", { cron: "${cron}", task: clean })];
`;
  const folder = await project(
    { "tasks.ts": nightly("2 0 * * *"), "other.ts": OTHER },
    { name: "app", type: "module" },
  );
  const once = async (...args: string[]) => {
    const { code, stderr } = await rouse(["worker", "--once", ...args], {
      folder,
      environment: { DATABASE_URL: database.url, ROUSE_LOG_FORMAT: "text" },
    });
    assert.equal(code, 0, stderr);
  };
  await once();
  assert.deepEqual(await schedules(), [{ name: "nightly", spec: "2 0 * * *" }]);
  await write(folder, { "tasks.ts": nightly("8 13 1 * *") });
  await once();
  await once("other.ts");
  await once("tasks.ts", "--app", "another");
  assert.deepEqual(await schedules(), [{ name: "nightly", spec: "8 13 1 * *" }]);
  await write(folder, { "tasks.ts": OTHER });
  await once();
  assert.deepEqual(await schedules(), []);
});

test("watches of task files are made by a worker that starts, or by migrate where the settings say so", async () => {
  await database.query("create table orders (id integer primary key)");
  const watches = () => database.query("select name, source from rouse.watch");
  const watching = `
import { defineTask, defineWatch } from "rouse";
export const mail = defineTask("mail", { run() {} });
export const paid = defineWatch("order paid", { relation: "orders", task: mail });
`;
  const folder = await project(
    {
      "tasks.ts": watching,
      "rouse.config.ts":
        'import { defineConfig } from "rouse";\nexport default defineConfig({ applyWatches: "migrate" });\n',
    },
    { name: "app", type: "module" },
  );
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await rouse(args, { folder, environment: { DATABASE_URL: database.url } });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  await run("worker", "--once");
  assert.deepEqual(await watches(), []);
  assert.match(await run("migrate"), /^schema rouse is at .*\nwatch order paid: added\n$/);
  assert.deepEqual(await watches(), [{ name: "order paid", source: "code:app" }]);
  await write(folder, { "tasks.ts": OTHER });
  await run("worker", "--once");
  assert.equal((await watches()).length, 1);
  assert.match(await run("migrate"), /\nwatch order paid: removed\n$/);
  await write(folder, { "tasks.ts": watching });
  await run("worker", "--once", "--apply-watches", "worker");
  assert.deepEqual(await watches(), [{ name: "order paid", source: "code:app" }]);
});
