import assert from "node:assert/strict";
import { test } from "node:test";
import { defineSchedule, defineTask } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { useRouse } from "../worker/support.ts";

const database = testDatabase();
const useClient = useRouse(database);

test("A1: one process runs schedules and one-off jobs; a job of a schedule knows its slot", async () => {
  const slots = new Tally<Date | null>();
  const task = defineTask("seen", { run: (_payload, ctx) => void slots.add(ctx.job.scheduledFor) });
  const rouse = useClient([task], { schedules: [defineSchedule("each second", { cron: "every 1 second", task })] });
  await rouse.startWorker();
  await rouse.enqueue(task);
  await slots.reach(4);
  const times = slots.all.filter((slot) => slot !== null).map(Number);
  assert.equal(slots.all.length - times.length, 1);
  assert.ok(times.every((time) => time % 1000 === 0));
  assert.equal(new Set(times).size, times.length);
});

test("A3: every second and every 2 seconds, side by side: each slot once, none missing, no drift", async () => {
  const slots = new Tally<number>();
  const task = defineTask("tally", { run: (_payload, ctx) => void slots.add(Number(ctx.job.scheduledFor)) });
  const rouse = useClient([task], {
    schedules: [
      defineSchedule("1", { cron: "* * * * * *", task, overlap: "allow" }),
      defineSchedule("2", { cron: "every 2 seconds", task, overlap: "allow" }),
    ],
  });
  await rouse.startWorker();
  await slots.reach(12);
  const decided = await database.query<{ seconds: number[] }>(
    `select array_agg(extract(epoch from t.slot_at)::integer order by t.slot_at) as seconds
     from rouse.slot as t join rouse.schedule as s on s.id = t.schedule_id
     where s.name in ('1', '2') group by s.name order by s.name`,
  );
  for (const [n, { seconds }] of decided.entries()) {
    const gaps = seconds.slice(1).map((second, index) => second - seconds[index]!);
    assert.deepEqual([...new Set(gaps)], [n + 1], `slots of every ${n + 1} s are at ${seconds}`);
  }
});

test("A7: three workers, one job a slot", async () => {
  const slots = new Tally<number>();
  const task = defineTask("shared", { run: (_payload, ctx) => void slots.add(Number(ctx.job.scheduledFor)) });
  const schedules = [defineSchedule("shared", { cron: "every 1 second", task, overlap: "allow" })];
  for (let n = 0; n < 3; n += 1) await useClient([task], { app: "shared", schedules }).startWorker();
  await slots.reach(5);
  assert.equal(new Set(slots.all).size, slots.all.length);
});

test("A10: slots are decided on time while every slot of the worker is taken", async () => {
  const started = new Latch();
  const release = new Latch();
  const long = defineTask("long", {
    async run() {
      started.open();
      await release.opened;
    },
  });
  const rouse = useClient([long], {
    schedules: [defineSchedule("beside", { cron: "every 1 second", task: "elsewhere", overlap: "allow" })],
  });
  await rouse.startWorker({ concurrency: 1 });
  const { id } = await rouse.enqueue(long);
  assert.ok(id > 0);
  await started.opened;
  const fired = () =>
    database.query(
      "select decided_at - slot_at < '1 second' as punctual from rouse.slot as t join rouse.schedule as s on s.id = t.schedule_id where s.name = 'beside' and decided_at > (select min(started_at) from rouse.job where task = 'long')",
    );
  await until(async () => (await fired()).length >= 3, { message: "three slots are decided" });
  assert.ok((await fired()).every(({ punctual }) => punctual));
  release.open();
});

test("a schedule that is made while workers sleep runs at its time", async () => {
  const ran = new Latch();
  const task = defineTask("made late", { run: () => ran.open() });
  await useClient([task]).startWorker();
  await database.query("select rouse.schedule('made late', 'every 1 second', task => 'made late')");
  await ran.opened;
});
