import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { scheduler } from "./support.ts";

const database = testDatabase();
const { schedule, tick, slots, jobs, finishJob } = scheduler(database);

const MORNING = "2030-01-01T08:30:00Z";
const EVENING = "2030-01-01T18:30:30Z";

test("A7: missed slots after a downtime, catch_up latest: the last one runs", async () => {
  await schedule("latest", "0 * * * *", MORNING);
  await tick(EVENING);
  assert.deepEqual(await slots("latest"), ["18:00 run"]);
});

test("A7: missed slots after a downtime, catch_up none: none runs, and the next one comes on time", async () => {
  await schedule("none", "0 * * * *", MORNING, { catch_up: "none" });
  await tick(EVENING);
  assert.deepEqual(await slots("none"), []);
  await tick("2030-01-01T19:00:00Z");
  assert.deepEqual(await slots("none"), ["19:00 run"]);
});

test("A7: a slot that a busy worker is at most a minute late for was not missed", async () => {
  await schedule("late", "0 * * * *", MORNING, { catch_up: "none" });
  await tick("2030-01-01T09:00:59Z");
  assert.deepEqual(await slots("late"), ["09:00 run"]);
});

test("A7: missed slots after a downtime, catch_up all: each runs, one after the other", async () => {
  await schedule("all", "0 * * * *", MORNING, { catch_up: "all" });
  await tick("2030-01-01T11:30:00Z");
  assert.deepEqual(await slots("all"), ["09:00 run", "10:00 queued", "11:00 queued"]);
  assert.deepEqual(await jobs("all"), ["09:00"]);
  await finishJob("all");
  assert.deepEqual(await jobs("all"), ["10:00"]);
  await finishJob("all");
  await finishJob("all");
  assert.deepEqual(await slots("all"), ["09:00 run", "10:00 run", "11:00 run"]);
});

test("A7: catch_up all with overlap allow runs them together", async () => {
  await schedule("together", "0 * * * *", MORNING, { catch_up: "all", overlap: "allow" });
  await tick("2030-01-01T11:30:00Z");
  assert.deepEqual(await jobs("together"), ["09:00", "10:00", "11:00"]);
});

test("A7: catch_up all is bounded by number, the newest, and by age", async () => {
  await schedule("few", "0 * * * *", MORNING, { catch_up: "all", overlap: "allow", catch_up_limit: 2 });
  await schedule("young", "0 * * * *", MORNING, { catch_up: "all", overlap: "allow", catch_up_age: "90 minutes" });
  await tick(EVENING);
  assert.deepEqual(await jobs("few"), ["17:00", "18:00"]);
  assert.deepEqual(await jobs("young"), ["17:00", "18:00"].slice(1));
});

test("A7: the latest of a second's schedule after a year of downtime is found at once", async () => {
  await schedule("second", "* * * * * *", "2029-01-01T00:00:00Z");
  await database.query("set statement_timeout = '2s'");
  await tick("2030-01-01T00:00:00.5Z");
  assert.deepEqual(await slots("second", "YYYY HH24:MI:SS"), ["2030 00:00:00 run"]);
});

test("max_runs, starts_at and ends_at bound what runs, also what is caught up", async () => {
  await schedule("counted", "0 * * * *", MORNING, { catch_up: "all", overlap: "allow", max_runs: 3 });
  await schedule("framed", "0 * * * *", MORNING, {
    catch_up: "all",
    overlap: "allow",
    starts_at: "2030-01-01T10:00:00Z",
    ends_at: "2030-01-01T11:00:00Z",
  });
  await tick("2030-01-01T12:30:00Z");
  assert.deepEqual(await jobs("counted"), ["10:00", "11:00", "12:00"]);
  assert.deepEqual(await jobs("framed"), ["10:00", "11:00"]);
  const ended = await database.query(
    "select schedule from rouse.schedules where next = 'ended' and schedule in ('counted', 'framed') order by 1",
  );
  assert.deepEqual(ended, [{ schedule: "counted" }, { schedule: "framed" }]);
});
