import type { Shop } from "../shop.ts";
import { code, expect, ms, seen, until } from "../story.ts";

/** Schedules: one that comes every 5 seconds is waited for, one of each month is run now. */
export async function byTheClock({ db, mailbox }: Shop): Promise<void> {
  code('defineSchedule("mail flush", { cron: "every 5 seconds", task: flushMail })');
  const writtenAt = performance.now();
  await db.query("insert into outbox (recipient, subject) values ('ada@example.com', 'Your parcel is on its way')");
  const mail = await new Promise<{ receivedAt: number }>((resolve) =>
    mailbox.onMail((next) => next.subject === "Your parcel is on its way" && resolve(next)),
  );
  const { rows: slots } = await db.query(
    `select to_char(t.slot_at, 'HH24:MI:SS') as slot, extract(epoch from j.started_at - t.slot_at)::float8 * 1000 as late
     from rouse.slot as t
     join rouse.schedule as s on s.id = t.schedule_id and s.name = 'mail flush'
     join rouse.jobs as j on j.id = t.job_id
     order by t.slot_at desc
     limit 1`,
  );
  const [slot] = slots;
  expect(/[05]$/.test(slot.slot), `the slot is at ${slot.slot}, not at a multiple of 5 seconds`);
  seen(
    `the slot of ${slot.slot} started ${ms(slot.late)} after its time; the mail was there ${ms(mail.receivedAt - writtenAt)} after it was written`,
  );

  code("select rouse.run_now('monthly report');");
  const { rows: now } = await db.query("select rouse.run_now('monthly report')::float8 as id");
  await until(async () => {
    const { rows } = await db.query("select state from rouse.jobs where id = $1 and state = 'succeeded'", [now[0].id]);
    return rows[0];
  });
  const { rows: reports } = await db.query("select sales from reports");
  expect(reports.length === 1, `${reports.length} reports were made`);
  const { rows: next } = await db.query(
    "select next_local, timezone from rouse.schedules where schedule = 'monthly report'",
  );
  seen(
    `a report of ${reports[0].sales.toLocaleString("en")} sales; its own next time is ${next[0].next_local} in ${next[0].timezone}`,
  );
}
