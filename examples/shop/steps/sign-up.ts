import { setTimeout as sleep } from "node:timers/promises";
import type { Shop } from "../shop.ts";
import { code, expect, ms, seen } from "../story.ts";
import { committed, rolledBack } from "../transaction.ts";

/** A row becomes a mail: the triggers that a watch makes enqueue, in the transaction that inserts. */
export async function signUp({ db, mailbox, stopwatch }: Shop): Promise<void> {
  const insert = "insert into customers (name, email) values ($1, $2)";
  code('defineWatch("welcome", { relation: "customers", task: sendWelcome, events: ["insert"], payload: "row", … })');
  code("insert into customers (name, email) values ('Ada', 'ada@example.com');");

  await rolledBack(db, (client) => client.query(insert, ["Ada", "ada@example.com"]));
  const { rows } = await db.query("select count(*)::int as jobs from rouse.jobs where task = 'send_welcome'");
  expect(rows[0].jobs === 0, "a sign-up that was rolled back left a job");
  seen("rolled back: no customer, no job, no mail");

  const { committingAt } = await committed(db, async (client) => {
    await client.query(insert, ["Ada", "ada@example.com"]);
    // Time enough for a mail that should not be sent yet.
    await sleep(300);
    expect(mailbox.mails.length === 0, "a mail was sent before the sign-up was committed");
  });
  const mail = await mailbox.mailTo("ada@example.com");
  expect(mail.subject === "Welcome, Ada!", `the mail's subject is "${mail.subject}"`);
  const { rows: jobs } = await db.query("select id::float8 from rouse.jobs where task = 'send_welcome'");
  expect(jobs.length === 1 && mailbox.mails.length === 1, `${jobs.length} jobs sent ${mailbox.mails.length} mails`);
  const [start] = stopwatch.startsOf(jobs[0].id);
  seen(`committed: job ${jobs[0].id} was in its handler ${ms(start! - committingAt)} after the commit was sent`);
  seen(`${ms(mail.receivedAt - committingAt)} after it the mail server had "${mail.subject}" for ${mail.to}`);
}
