import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { rouseHere, rouse as run, startRouse } from "./support.ts";

const database = testDatabase();

function rouse(...args: string[]) {
  return rouseHere(args, { DATABASE_URL: database.url });
}

/** What it prints, where it is to succeed. */
async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await rouse(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function job(id: string | number) {
  const [row] = await database.query("select * from rouse.jobs where id = $1", [id]);
  assert.ok(row, `job ${id} is there`);
  return row;
}

test("A18: enqueue prints the id and passes every option on", async () => {
  const id = await printed(
    ...[
      "enqueue",
      "report",
      '{"month": 12345678901234567890}',
      "--queue",
      "slow",
      "--priority",
      "-5",
      "--delay",
      "1h30m",
    ],
    ...["--max-attempts", "3", "--unique-key", "k", "--timeout", "2 minutes", "--tag", "a", "--tag=b"],
    ...["--headers", '{"trace": "t"}'],
  );
  assert.match(id, /^\d+\n$/);
  const { queue, priority, attempt, unique_key, tags, headers, state } = await job(id.trim());
  assert.deepEqual(
    { queue, priority, attempt, unique_key, tags, headers, state },
    {
      queue: "slow",
      priority: -5,
      attempt: "0/3",
      unique_key: "k",
      tags: ["a", "b"],
      headers: { trace: "t" },
      state: "scheduled",
    },
  );
  const [stored] = await database.query(
    "select payload::text, timeout::text, round(extract(epoch from run_at - created_at))::int as delay from rouse.job where id = $1",
    [id.trim()],
  );
  assert.deepEqual(stored, { payload: '{"month": 12345678901234567890}', timeout: "00:02:00", delay: 5400 });

  const again = await rouse("enqueue", "report", "--unique-key", "k");
  assert.equal(again.stdout, id);
  assert.match(again.stderr, /a live job has this unique key already/);
});

test("A18: --run-at takes an instant with its zone, or local time", async () => {
  const cases: [string, string, string][] = [
    ["2031-12-24T18:00Z", "UTC", "2031-12-24T18:00:00.000Z"],
    ["2031-12-24 18:00:30 +0130", "UTC", "2031-12-24T16:30:30.000Z"],
    ["2031-12-24 18:00", "Europe/Vienna", "2031-12-24T17:00:00.000Z"],
  ];
  for (const [text, zone, instant] of cases) {
    const { stdout } = await rouseHere(["enqueue", "report", "--run-at", text], {
      DATABASE_URL: database.url,
      TZ: zone,
    });
    const { run_at } = await job(stdout.trim());
    assert.equal((run_at as Date).toISOString(), instant);
  }
});

test("A16: a payload is read from standard input and checked against the schema that workers declared", async () => {
  await database.query(`insert into rouse.task (name, aliases, payload_schema) values ('greet', '{hail}', $1)`, [
    { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
  ]);
  const environment = { DATABASE_URL: database.url };
  const good = await run(["enqueue", "greet", "-"], { environment, input: '{"name": "Ada"}' });
  const wrong = await rouse("enqueue", "greet", '{"name": 1}');
  const alias = await rouse("enqueue", "hail", "{}");
  assert.deepEqual((await job(good.stdout.trim())).payload, { name: "Ada" });
  for (const { code, stdout, stderr } of [wrong, alias]) {
    assert.match(stderr, /does not fit the schema of task "(greet|hail)": name: Invalid input: expected string/);
    assert.deepEqual([code, stdout], [1, ""]);
  }
});

test("A17: enqueue says which task was probably meant", async () => {
  await database.query("insert into rouse.task (name) values ('send_welcome')");
  const { code, stderr } = await rouse("enqueue", "send_welcom");
  assert.match(stderr, /note: task "send_welcom" is not known yet; did you mean "send_welcome"\?/);
  assert.equal(code, 0);
});

test("jobs lists, filters and shows one with all that is known", async () => {
  const [{ id }] = (await database.query(
    `insert into rouse.job (task, queue, payload) values ('show', 'shown', '{"text": "two\\nlines \\u001b[31m"}') returning id`,
  )) as [{ id: string }];
  const list = await printed("jobs", "--queue", "shown");
  const json = await printed("jobs", "--queue", "shown", "--state", "ready", "--json");
  const one = await printed("jobs", id);
  const none = await rouse("jobs", "--task", "never");
  const missing = await rouse("jobs", id, "999999");
  const [head, rule, row, ...more] = list.trimEnd().split("\n");
  assert.match(head!, /^ +id \| task \| state \| queue +\| priority/);
  assert.match(rule!, /^[-+]+$/);
  assert.match(row!, new RegExp(`^ +${id} \\| show \\| ready \\| shown \\| +0 \\| waits`));
  assert.deepEqual(more, []);
  assert.deepEqual(JSON.parse(json).payload, { text: "two\nlines \u001b[31m" });
  assert.match(one, /^task +show$/m);
  assert.match(one, /^payload +\{"text": "two\\nlines \\u001b\[31m"\}$/m);
  assert.deepEqual([none.code, none.stdout, none.stderr], [0, "", "no such jobs\n"]);
  assert.match(missing.stderr, /there is no job 999999/);
  assert.equal(missing.code, 1);
});

test("A9: retry runs a failed job again; what cannot be retried is said", async () => {
  const [{ id }] = (await database.query(
    "insert into rouse.job (task, state, attempt, run_at) values ('later', 'scheduled', 1, now() + '1 day') returning id",
  )) as [{ id: string }];
  const { code, stdout, stderr } = await rouse("retry", id, "999999");
  assert.match(stdout, new RegExp(`job ${id} runs again`));
  assert.match(stderr, /job 999999 has nothing to retry/);
  assert.equal(code, 1);
  assert.ok(((await job(id)).run_at as Date) <= new Date());
});

test("B11: cancel ends a job; reschedule moves one; what cannot be done is said", async () => {
  const id = (await printed("enqueue", "report")).trim();
  const moved = ["--delay", "1h", "--queue", "slow", "--priority", "-5"];
  assert.equal(await printed("reschedule", id, ...moved), `job ${id} is rescheduled\n`);
  const { state, queue, priority } = await job(id);
  assert.deepEqual({ state, queue, priority }, { state: "scheduled", queue: "slow", priority: -5 });
  assert.equal(await printed("cancel", id), `job ${id} is cancelled\n`);
  assert.equal((await job(id)).state, "cancelled");
  const again = await rouse("cancel", id);
  assert.deepEqual([again.code, again.stdout], [1, ""]);
  assert.match(again.stderr, /has ended already/);
  const late = await rouse("reschedule", id, "--run-at", "2031-01-01T00:00Z");
  assert.equal(late.code, 1);
  assert.match(late.stderr, /does not wait/);
  assert.match((await rouse("reschedule", id)).stderr, /nothing to change: give --delay/);
});

test("A22: purge removes a job", async () => {
  const id = await printed("enqueue", "secret", '{"name": "Ada"}');
  assert.equal(await printed("purge", id.trim()), `job ${id.trim()} is gone\n`);
  assert.deepEqual(await database.query("select from rouse.jobs where id = $1", [id.trim()]), []);
  const again = await rouse("purge", id.trim());
  assert.deepEqual([again.code, again.stderr], [1, `there is no job ${id.trim()}\n`]);
});

test("B20: pause and resume change a queue and show what waits in it", async () => {
  await database.query("insert into rouse.job (task, queue) values ('x', 'held')");
  assert.equal(await printed("pause", "held"), "queue held is paused: 1 ready, 0 running, 0 scheduled\n");
  assert.match(await printed("status"), /^ held +\| paused/m);
  assert.equal(await printed("pause", "--task", "t", "u"), "task t is paused\ntask u is paused\n");
  assert.equal(await printed("pause", "--key", "k"), "key k is paused\n");
  assert.equal(await printed("resume", "--key", "k"), "key k is open\n");
  assert.equal(await printed("resume", "--task", "t", "u"), "task t is open\ntask u is open\n");
  assert.equal(await printed("resume", "held"), "queue held is open: 1 ready, 0 running, 0 scheduled\n");
});

test("status shows queues, workers and failures, or that there are none", async () => {
  const shown = await printed("status");
  assert.match(shown, /^Queues\n queue +\| status \| ready/);
  assert.match(shown, /^Workers\n no worker runs$/m);
  assert.match(shown, /^Latest failures\n nothing failed$/m);
});

test("sql prints a table for each statement", async () => {
  const shown = await printed(
    "sql",
    "select 1 as n, 'größe 日本 🐓' as text, null as nothing union all select 20, E'a\\nb\\t\\x1b[2J', null; create temp table t (); select true as done",
  );
  assert.equal(
    shown,
    [
      "  n | text          | nothing",
      "----+---------------+---------",
      "  1 | größe 日本 🐓 |",
      " 20 | a↵b \\x1b[2J   |",
      "(2 rows)",
      "",
      "CREATE",
      "",
      " done",
      "------",
      " t",
      "(1 row)",
      "",
    ].join("\n"),
  );
  const { stdout } = await run(["sql", "--json"], {
    environment: { DATABASE_URL: database.url },
    input: "select 7::bigint as id, '{\"a\": 1}'::jsonb as payload",
  });
  assert.equal(stdout, '{"id":7,"payload":{"a":1}}\n');
});

test("sql shows where a statement is wrong, and what the server advises", async () => {
  const place = await rouse("sql", "select 1;\nselect '日本', colour\n\tfrom rouse.jobs");
  const hint = await rouse("sql", "select rouse.enqueue('x', priority => 101)");
  const empty = await rouse("sql", "/* nothing */");
  assert.equal(
    place.stderr,
    [
      'rouse: column "colour" does not exist (42703)',
      "  line 2: select '日本', colour",
      "                         ^",
      "",
    ].join("\n"),
  );
  assert.match(
    hint.stderr,
    /priority 101 is out of range \(22023\)\n {2}hint: A priority is a number from -100 to 100/,
  );
  assert.deepEqual([place.code, hint.code, empty.code, empty.stdout], [1, 1, 0, ""]);
});

test("a reader that goes away is no error", async () => {
  await database.query("insert into rouse.job (task) select 'many' from generate_series(1, 3000)");
  const child = startRouse(["jobs", "--limit", "3000"], { environment: { DATABASE_URL: database.url } });
  child.process.stdout!.once("data", () => child.process.stdout!.destroy());
  const { code, stderr } = await child.exited;
  assert.deepEqual([code, stderr], [0, ""]);
});
