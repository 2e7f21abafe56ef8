/** What the shop does by the clock. The worker that starts with them makes the rows of rouse.schedule say so. */
import { createTransport } from "nodemailer";
import { defineSchedule, defineTask } from "../../src/index.ts";
import { importSales } from "./tasks.ts";

/** Sends what waits in the outbox. Each row is gone with the commit that also completes the job. */
export const flushMail = defineTask("flush_mail", {
  async run(_payload, ctx) {
    await ctx.transaction(async (client) => {
      const { rows } = await client.query("delete from outbox returning id, recipient, subject");
      const transport = createTransport(process.env.SMTP_URL);
      for (const { id, recipient, subject } of rows) {
        await transport.sendMail({
          from: "shop@example.com",
          to: recipient,
          subject,
          text: `${subject}.`,
          messageId: `<outbox-${id}@example.com>`,
        });
      }
      return { sent: rows.length };
    });
  },
});

/** One report for each slot: the slot's time is the report's key, so that a second run changes nothing. */
export const monthlyReport = defineTask("monthly_report", {
  async run(_payload, ctx) {
    await ctx.transaction((client) =>
      client.query("insert into reports select $1, count(*) from sales on conflict do nothing", [
        ctx.job.scheduledFor ?? ctx.job.createdAt,
      ]),
    );
  },
});

/** @param salesFile The file that the daily import finds. */
export const schedules = (salesFile: string) => [
  defineSchedule("mail flush", { cron: "every 5 seconds", task: flushMail }),
  defineSchedule("daily import", {
    cron: "2 0 * * *",
    timezone: "Europe/Berlin",
    task: importSales,
    payload: { file: salesFile },
  }),
  defineSchedule("monthly report", {
    cron: "13 8 1 * *",
    timezone: "Europe/Berlin",
    task: monthlyReport,
    catchUp: "all",
  }),
];
