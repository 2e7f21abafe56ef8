import assert from "node:assert/strict";
import { test } from "node:test";
import { readCrontab } from "../../src/schedules/crontab.ts";
import { testDatabase } from "../support/database.ts";
import { project, rouse as run } from "./support.ts";

const database = testDatabase();
const rouse = (args: string[], folder?: string) =>
  run(args, { environment: { DATABASE_URL: database.url }, ...(folder === undefined ? {} : { folder }) });

test("schedule preview shows the next times in the zone and in UTC, and what ordinary cron would do", async () => {
  const { code, stdout, stderr } = await rouse([
    "schedule",
    "preview",
    "0 8 * * *",
    "--timezone",
    "Europe/Berlin",
    "--count",
    "2",
  ]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^ +n \| local +\| utc/);
  assert.equal(stdout.match(/08:00:00 \+0[12]:00/g)?.length, 2);
  assert.equal(stderr, "");
  const star = await rouse(["schedule", "preview", "0 0 */2 * 1"]);
  assert.match(star.stderr, /cron-parser would run at .* instead of/);
  const bad = await rouse(["schedule", "preview", "0 25 * * *"]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /hour/);
});

test("schedule apply makes the schedules of a file exactly those it names", async () => {
  const folder = await project({
    "crontab.txt": `
# moved over from the old server
TZ=Europe/Berlin
27 14 * * * make_report {"kind": "daily"}
[nightly] 2 0 * * * make_report {"kind": "nightly"}
CRON_TZ=UTC
*/10 * * * * * flush_mail
@every 5s beat
[purge] 0 3 * * * sql: delete from sessions where expires_at < now()
`,
  });
  const dry = await rouse(["schedule", "apply", "crontab.txt", "--dry-run"], folder);
  assert.equal(dry.code, 0, dry.stderr);
  assert.deepEqual(dry.stdout.trimEnd().split("\n").toSorted(), [
    "would be added: beat",
    "would be added: flush_mail",
    "would be added: make_report",
    "would be added: nightly",
    "would be added: purge",
  ]);
  assert.deepEqual(await database.query("select from rouse.schedule"), []);

  assert.equal((await rouse(["schedule", "apply", "crontab.txt"], folder)).code, 0);
  assert.deepEqual(
    await database.query(
      "select name, spec, timezone, task, payload, command, source from rouse.schedule order by name limit 3",
    ),
    [
      {
        name: "beat",
        spec: "@every 5s",
        timezone: "UTC",
        task: "beat",
        payload: {},
        command: null,
        source: "crontab:crontab.txt",
      },
      {
        name: "flush_mail",
        spec: "*/10 * * * * *",
        timezone: "UTC",
        task: "flush_mail",
        payload: {},
        command: null,
        source: "crontab:crontab.txt",
      },
      {
        name: "make_report",
        spec: "27 14 * * *",
        timezone: "Europe/Berlin",
        task: "make_report",
        payload: { kind: "daily" },
        command: null,
        source: "crontab:crontab.txt",
      },
    ],
  );

  const shorter = await project({ "crontab.txt": "0 15 * * * make_report" });
  const { stdout } = await rouse(["schedule", "apply", "crontab.txt"], shorter);
  assert.deepEqual(stdout.trimEnd().split("\n").toSorted(), [
    "changed: make_report",
    "removed: beat",
    "removed: flush_mail",
    "removed: nightly",
    "removed: purge",
  ]);
});

test("schedule list, run, pause and resume", async () => {
  await database.query("select rouse.schedule('daily', '0 8 * * *', task => 'report')");
  assert.match((await rouse(["schedule", "list", "daily"])).stdout, /daily +\| 0 8 \* \* \* \| UTC/);
  assert.match((await rouse(["schedule", "run", "daily"])).stdout, /^schedule daily: job \d+ is enqueued$/m);
  assert.equal((await rouse(["schedule", "pause", "daily"])).stdout, "schedule daily is paused\n");
  assert.match((await rouse(["schedule", "resume", "daily"])).stdout, /^schedule daily is resumed, next in /);
  const unknown = await rouse(["schedule", "run", "dayly"]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /schedule "dayly" does not exist[\s\S]*"daily"/);
  assert.match((await rouse(["schedule", "lst"])).stderr, /cannot lst.*list/);
});

test("a bad line of a crontab is named, and nothing of the file is applied", async () => {
  const cases: [string, RegExp][] = [
    ["0 8 * *", /^f:1: "0 8 \* \*" is not a spec and a task/],
    ["\n0 8 * * * report {kind: 1}", /^f:2: the payload \{kind: 1\} is not JSON/],
    ["0 8 * * * report\n0 9 * * * report", /^f:2: the name "report" is taken/],
    ["MAILTO=me\n", /^f:1: MAILTO cannot be set here/],
    ["0 3 * * * sql: vacuum", /^f:1: a line with sql: needs a name/],
    ["@daily", /^f:1: "@daily" is not a spec and a task/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => readCrontab(text, "f"),
      (error: Error) => message.test(error.message) || assert.fail(error.message),
    );
  }
  const folder = await project({ "crontab.txt": "0 8 * * * fine\n61 8 * * * bad" });
  const { code, stderr } = await rouse(["schedule", "apply", "crontab.txt"], folder);
  assert.equal(code, 1);
  assert.match(stderr, /schedule "bad".*minute/);
  assert.deepEqual(await database.query("select from rouse.schedule where name = 'fine'"), []);
  assert.match(
    (await rouse(["schedule", "apply", "nowhere.txt"], folder)).stderr,
    /nowhere\.txt cannot be read: there is no such file/,
  );
});
