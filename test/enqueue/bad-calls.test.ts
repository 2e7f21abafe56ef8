import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "../support/database.ts";
import { refused, rows } from "../support/engine.ts";

const db = testDatabase();

const long = "x".repeat(10_000);
const pair = (what: string) => `[{"task": "a"}, {"task": "a", ${what}}]`;

/** The call, its SQLSTATE, and what the message must say. */
const badCalls: [call: string, code: string, message: RegExp][] = [
  ["enqueue(null)", "22023", /^task NULL has 0 characters$/],
  ["enqueue('')", "22023", /^task '' has 0 characters$/],
  [`enqueue('${long}')`, "22023", /^task 'x{60}… \(10000 characters\)' has 10000 characters$/],
  [`enqueue('a', queue => '${long}')`, "22023", /^queue 'x{60}… /],
  ["enqueue('a', queue => '')", "22023", /^queue '' has 0/],
  ["enqueue('a', unique_key => '')", "22023", /^unique_key '' has 0/],
  [`enqueue('a', unique_key => repeat('k', 401))`, "22023", /^unique_key 'k{60}… \(401 characters\)' has 401/],
  ["enqueue('a', priority => 101)", "22023", /^priority 101 is out of range$/],
  ["enqueue('a', priority => -101)", "22023", /^priority -101 /],
  ["enqueue('a', max_attempts => 0)", "22023", /^max_attempts 0 /],
  ["enqueue('a', max_attempts => 32768)", "22023", /^max_attempts 32768 /],
  ["enqueue('a', timeout => '0')", "22023", /^timeout 00:00:00 is not a positive/],
  ["enqueue('a', timeout => '-5 s')", "22023", /^timeout -00:00:05 /],
  ["enqueue('a', delay => '-5 minutes')", "22023", /^delay -00:05:00 is out of range$/],
  ["enqueue('a', delay => '1001 years')", "22023", /^delay 1001 years is out of range$/],
  ["enqueue('a', delay => '5 s', run_at => now())", "22023", /^both run_at and delay were given$/],
  ["enqueue('a', run_at => 'infinity')", "22023", /^run_at is infinity$/],
  ["enqueue('a', run_at => '-infinity')", "22023", /^run_at is -infinity$/],
  ["enqueue('a', headers => '[1]')", "22023", /^headers is a JSON array: \[1\]$/],
  [
    `enqueue('a', jsonb_build_object('x', repeat('x', 10000000)))`,
    "22023",
    /^payload has 1000\d{4} bytes, the limit is 1000000$/,
  ],
  ["enqueue_many(null)", "22023", /^jobs are null, not a JSON array$/],
  [`enqueue_many('{"task": "a"}')`, "22023", /^jobs are a JSON object, not a JSON array$/],
  [`enqueue_many('[7]')`, "22023", /^job 1 of the array has no task: 7$/],
  [`enqueue_many('[{"task": "a"}, {"payload": 1}]')`, "22023", /^job 2 of the array has no task: \{"payload": 1\}$/],
  [`enqueue_many('[{"task": null}]')`, "22023", /^job 1 of the array has no task/],
  [`enqueue_many('[{"task": ""}]')`, "22023", /^task '' has 0 characters$/],
  [`enqueue_many('${pair('"prio": 1')}')`, "22023", /^job 2 of the array has an unknown option "prio"$/],
  [`enqueue_many('${pair('"queu": "q"')}')`, "22023", /unknown option "queu"; did you mean "queue"\?$/],
  [`enqueue_many('${pair('"priority": 500')}')`, "22023", /^priority 500 /],
  [`enqueue_many('${pair('"priority": "high"')}')`, "22P02", /^invalid input syntax for type integer: "high"$/],
  [`enqueue_many('${pair('"delay": "5 parsecs"')}')`, "22007", /^invalid input syntax for type interval: "5 parsecs"$/],
  [`enqueue_many('${pair('"delay": "-1 s"')}')`, "22023", /^delay -00:00:01 /],
  [`enqueue_many('${pair('"delay": 1, "run_at": "2040-01-01"')}')`, "22023", /^both run_at and delay/],
  [`enqueue_many('${pair('"run_at": "infinity"')}')`, "22023", /^run_at is infinity$/],
  [`enqueue_many('${pair('"run_at": "2040-13-01"')}')`, "22008", /"2040-13-01"$/],
  [`enqueue_many('${pair('"timeout": 0')}')`, "22023", /^timeout 00:00:00 /],
  [`enqueue_many('${pair('"max_attempts": 99999')}')`, "22023", /^max_attempts 99999 /],
  [`enqueue_many('${pair('"headers": 1')}')`, "22023", /^headers is a JSON number: 1$/],
  [`enqueue_many('${pair('"tags": {}')}')`, "22P02", /json|array/],
  [`enqueue_many('${pair('"unique_key": ""')}')`, "22023", /^unique_key '' /],
  [`enqueue_many('${pair('"headers": [1]')}')`, "22023", /^headers is a JSON array: \[1\]$/],
  ['enqueue_many(\'{"0": {"task": "a"}}\')', "22023", /^jobs are a JSON object, not a JSON array$/],
  [`enqueue_many('[{"task": "a", "prio": 1}]')`, "22023", /^job 1 of the array has an unknown option "prio"$/],
  [`enqueue_many('[{"task": "a", "priority": "high"}]')`, "22P02", /^invalid input syntax for type integer: "high"$/],
  [`enqueue_many('[{"task": "rouse.command"}]')`, "22023", /^the task "rouse.command" is Rouse's own$/],
  [
    `enqueue_many(jsonb_build_array('{"task": "a"}'::jsonb, jsonb_build_object('task', 'a', 'payload', repeat('x', 1000000))))`,
    "22023",
    /^payload has 1000\d{3} bytes, the limit is 1000000$/,
  ],
  ["pause(null)", "22023", /^pause needs one of queue, schedule, task and key$/],
  ["resume()", "22023", /^resume needs one of queue, schedule, task and key$/],
  ["register_v1(null)", "22023", /^worker NULL has 0/],
  ["claim_v1(null)", "22023", /^worker null is not registered$/],
  ["claim_v1(77)", "22023", /^worker 77 is not registered$/],
  ["claim_v1(77, most => null)", "22023", /^most is null$/],
  ["claim_v1(77, most => -1)", "22023", /^most is -1$/],
  ["fail_v1(1, gen_random_uuid(), null, retry_at => 'infinity')", "22023", /^retry_at is infinity$/],
  ["declare_tasks_v1(null)", "22023", /^tasks are null, not a JSON array$/],
  [`declare_tasks_v1('[{"name": "a"}, {"name": "a"}]')`, "22023", /^two tasks of the array have the same name$/],
  [`declare_tasks_v1('[{"name": "a", "backof": "fixed"}]')`, "22023", /"backof"; did you mean "backoff"\?$/],
  [
    `declare_tasks_v1('[{"name": "a", "backoff": "cubic"}]')`,
    "22023",
    /^a task does not keep the rule "backoff is known"$/,
  ],
  [`declare_tasks_v1('[{"name": "a", "backoff": "list"}]')`, "22023", /"backoff list goes with list"$/],
  [`declare_tasks_v1('[{"name": "a", "jitter": "NaN"}]')`, "22023", /"jitter between 0 and 1"$/],
  [`declare_tasks_v1('[{"name": "a", "delay": "-1 s"}]')`, "22023", /"delay between 0 and 1000 years"$/],
  [`declare_tasks_v1('[{"name": "a", "timeout": 0}]')`, "22023", /^timeout 00:00:00 /],
  ["use_shard(512)", "22023", /^shard 512 is out of range$/],
  ["use_shard(null)", "22023", /^shard null is out of range$/],
];

for (const [call, code, message] of badCalls) {
  test(`refused with a hint: ${call.length > 90 ? `${call.slice(0, 90)}…` : call}`, async () => {
    const error = await refused(db.query(`select rouse.${call}`));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.ok(error.hint, "a hint says what to do");
    assert.deepEqual(await rows(db.pool, "select from rouse.job"), [], "nothing is half done");
  });
}
