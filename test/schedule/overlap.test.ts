import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { scheduler } from "./support.ts";

const database = testDatabase();
const { schedule, tick, slots, jobs, finishJob } = scheduler(database);

const SINCE = "2030-01-01T08:30:00Z";
const at = (hour: number) => `2030-01-01T${String(hour).padStart(2, "0")}:00:00Z`;

test("A5: overlap skip: a slot is skipped while the job before it is live", async () => {
  await schedule("skip", "0 * * * *", SINCE, { overlap: "skip" });
  await tick(at(9));
  await tick(at(10));
  assert.deepEqual(await jobs("skip"), ["09:00"]);
  await finishJob("skip");
  await tick(at(11));
  assert.deepEqual(await slots("skip"), ["09:00 run", "10:00 skipped", "11:00 run"]);
});

test("A5: a job that waits for its next attempt is live", async () => {
  await schedule("retrying", "0 * * * *", SINCE, { overlap: "skip" });
  await tick(at(9));
  await database.query("update rouse.job set state = 'scheduled', attempt = 1 where schedule_id is not null");
  await tick(at(10));
  assert.deepEqual(await slots("retrying"), ["09:00 run", "10:00 skipped"]);
});

test("A5: overlap queue: one slot waits, and runs when the job before it has ended", async () => {
  await schedule("queue", "0 * * * *", SINCE, { overlap: "queue" });
  for (const hour of [9, 10, 11]) await tick(at(hour));
  assert.deepEqual(await slots("queue"), ["09:00 run", "10:00 queued", "11:00 skipped"]);
  assert.deepEqual(await jobs("queue"), ["09:00"]);
  await finishJob("queue");
  assert.deepEqual(await jobs("queue"), ["10:00"]);
});

test("A5: overlap queue: a worker's own finish starts the slot that waits, in the same transaction", async () => {
  await schedule("handover", "0 * * * *", SINCE, { overlap: "queue" });
  await tick(at(9));
  await tick(at(10));
  const [worker] = await database.query("select rouse.register_v1('w') as id");
  await database.query(
    "delete from rouse.job where schedule_id <> (select id from rouse.schedule where name = 'handover')",
  );
  const [job] = await database.query("select * from rouse.claim_v1($1, as_of => '2030-01-01T10:00:01Z')", [worker!.id]);
  assert.deepEqual(await database.query("select * from rouse.complete_many_v1($1, $2)", [[job!.id], [job!.lease]]), []);
  assert.deepEqual(await jobs("handover"), ["10:00"]);
});

test("A5: overlap allow: both run", async () => {
  await schedule("allow", "0 * * * *", SINCE, { overlap: "allow" });
  await tick(at(9));
  await tick(at(10));
  assert.deepEqual(await jobs("allow"), ["09:00", "10:00"]);
});

test("A5: a finish does not wait for whoever holds the schedule's row; the next tick runs the slot that waited", async () => {
  await schedule("held", "0 * * * *", SINCE, { overlap: "queue" });
  await tick(at(9));
  await tick(at(10));
  const editor = await database.connect();
  await editor.query("begin; update rouse.schedule set jitter = '0' where name = 'held'");
  const finisher = await database.connect();
  await finisher.query("set lock_timeout = '500ms'");
  await finisher.query(
    "delete from rouse.job as j using rouse.schedule as s where s.id = j.schedule_id and s.name = 'held'",
  );
  assert.deepEqual(await jobs("held"), []);
  await editor.query("commit");
  await tick("2030-01-01T10:00:01Z");
  assert.deepEqual(await jobs("held"), ["10:00"]);
});
