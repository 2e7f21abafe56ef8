import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { scheduler } from "./support.ts";

const database = testDatabase();
const { schedule, tick, slots, jobs } = scheduler(database);

test("A7: twenty sessions that tick at once fire each slot once", async () => {
  const names = Array.from({ length: 50 }, (_, n) => `many ${n}`);
  for (const name of names) await schedule(name, "* * * * *", "2030-01-01T08:00:00Z", { overlap: "allow" });
  const sessions = await Promise.all(Array.from({ length: 20 }, () => database.connect()));
  for (const minute of ["08:01", "08:02", "08:03", "08:04", "08:05"]) {
    const at = `2030-01-01T${minute}:00Z`;
    await Promise.all(sessions.map((session) => session.query("select rouse.tick($1)", [at])));
  }
  for (const name of names) {
    assert.deepEqual(await jobs(name), ["08:01", "08:02", "08:03", "08:04", "08:05"]);
    assert.equal((await slots(name)).length, 5);
  }
});

test("a schedule's row that somebody holds is passed by, without waiting, and fires when it is free", async () => {
  await schedule("held", "* * * * *", "2030-01-01T09:00:00Z");
  await schedule("free", "* * * * *", "2030-01-01T09:00:00Z");
  const editor = await database.connect();
  await editor.query("begin");
  await editor.query("select from rouse.schedule where name = 'held' for update");
  const ticker = await database.connect();
  await ticker.query("set lock_timeout = '500ms'");
  await ticker.query("select rouse.tick('2030-01-01T09:01:00Z')");
  assert.deepEqual([await slots("held"), await slots("free")], [[], ["09:01 run"]]);
  await editor.query("rollback");
  await tick("2030-01-01T09:01:01Z");
  assert.deepEqual(await slots("held"), ["09:01 run"]);
});

test("one schedule that cannot be fired is noted and stops no other", async () => {
  await schedule("bad", "* * * * *", "2030-01-01T10:00:00Z");
  await schedule("good", "* * * * *", "2030-01-01T10:00:00Z");
  await database.query(
    `create function refuse_bad() returns trigger language plpgsql as $$
     begin
       if exists (select from rouse.schedule where id = new.schedule_id and name = 'bad') then
         raise exception 'not this one';
       end if;
       return new;
     end $$;
     create trigger refuse_bad before insert on rouse.job for each row execute function refuse_bad()`,
  );
  await tick("2030-01-01T10:01:00Z");
  await database.query("drop trigger refuse_bad on rouse.job");
  assert.deepEqual(await slots("good"), ["10:01 run"]);
  const [bad] = await database.query("select last_error, next_run_at from rouse.schedule where name = 'bad'");
  assert.equal(bad!.last_error, "not this one");
  await tick("2030-01-01T10:02:00Z");
  assert.deepEqual(await slots("bad"), ["10:02 run"]);
});

test("D3: a clock that jumps an hour forward and back fires no slot twice", async () => {
  await schedule("jumpy", "*/10 * * * *", "2030-01-01T11:55:00Z", { overlap: "allow" });
  for (const time of ["12:00", "12:10", "13:10", "12:20", "12:30", "13:20"]) await tick(`2030-01-01T${time}:00Z`);
  // The jump made 12:20 to 13:00 look missed: catch_up latest ran the last one, 13:10. What it passed over stays passed.
  assert.deepEqual(await slots("jumpy"), ["12:00 run", "12:10 run", "13:10 run", "13:20 run"]);
});

test("D3: with catch_up all a clock that jumps forward and back loses no slot and fires none twice", async () => {
  await schedule("all", "*/10 * * * *", "2030-01-01T11:55:00Z", { overlap: "allow", catch_up: "all" });
  for (const time of ["12:00", "12:10", "13:10", "12:20", "12:30", "13:20"]) await tick(`2030-01-01T${time}:00Z`);
  assert.deepEqual(
    await slots("all"),
    ["12:00", "12:10", "12:20", "12:30", "12:40", "12:50", "13:00", "13:10", "13:20"].map((time) => `${time} run`),
  );
});

test("A4: daily and monthly slots in the user's zone, across a clock change", async () => {
  const since = "2026-03-27T12:00:00Z";
  const zone = { timezone: "Europe/Berlin", overlap: "allow" };
  await schedule("afternoon", "27 14 * * *", since, zone);
  await schedule("night", "2 0 * * *", since, zone);
  await schedule("monthly", "13 8 1 * *", since, zone);
  for (let day = 27; day <= 32; day += 1) {
    for (let hour = 0; hour < 24; hour += 1) {
      await tick(new Date(Date.UTC(2026, 2, day, hour, 30)).toISOString());
    }
  }
  assert.deepEqual(await slots("afternoon", "DD HH24:MI"), [
    "27 13:27 run",
    "28 13:27 run",
    "29 12:27 run",
    "30 12:27 run",
    "31 12:27 run",
    "01 12:27 run",
  ]);
  assert.deepEqual(await slots("night", "DD HH24:MI"), [
    "27 23:02 run",
    "28 23:02 run",
    "29 22:02 run",
    "30 22:02 run",
    "31 22:02 run",
    "01 22:02 run",
  ]);
  assert.deepEqual(await slots("monthly", "DD HH24:MI"), ["01 06:13 run"]);
});

test("an edit that leads back onto a slot that has fired does not fire it again", async () => {
  const id = await schedule("edited", "0 * * * *", "2030-01-01T14:30:00Z", { overlap: "allow" });
  await tick("2030-01-01T15:00:00Z");
  await database.query("update rouse.schedule set next_run_at = '2030-01-01T15:00:00Z' where id = $1", [id]);
  await tick("2030-01-01T15:00:00Z");
  assert.deepEqual(await slots("edited"), ["15:00 run"]);
});

test("tick tells when the next slot is, paused schedules aside", async () => {
  await database.query("select rouse.pause(schedule => name) from rouse.schedule");
  assert.deepEqual(await tick("2030-01-02T00:00:00Z"), [{ tick: null }]);
  await schedule("next", "30 12 * * *", "2030-01-02T00:00:00Z");
  assert.deepEqual(await tick("2030-01-02T00:00:00Z"), [{ tick: new Date("2030-01-02T12:30:00Z") }]);
});
