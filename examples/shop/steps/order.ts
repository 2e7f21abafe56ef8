import type { z } from "zod";
import type { RowChange } from "../../../src/index.ts";
import type { orderRow } from "../rows.ts";
import type { Shop } from "../shop.ts";
import { code, expect, mishap, ms, seen, until } from "../story.ts";
import { takePayment } from "../tasks.ts";
import { committed } from "../transaction.ts";

/**
 * The order and the job that takes its payment are one commit; a provider that is down costs time, not the order. That it
 * was paid is a change of its row, which sends the receipt and is heard by who listens.
 */
export async function order({ db, rouse, payments, stopwatch, mailbox, heard }: Shop): Promise<void> {
  code("insert into orders … returning id;");
  code("await rouse.enqueue(takePayment, { orderId, total }, { client });");
  const { value } = await committed(db, async (client) => {
    const { rows } = await client.query(
      `insert into orders (customer_id, total)
       select id, 42.50
       from customers
       where email = 'ada@example.com'
       returning id::float8, total`,
    );
    const [{ id: orderId, total }] = rows;
    const { id } = await rouse.enqueue(takePayment, { orderId, total }, { client });
    return { orderId, job: id };
  });

  const { payment } = await until(async () => {
    const { rows } = await db.query("select payment from orders where id = $1 and payment is not null", [
      value.orderId,
    ]);
    return rows[0];
  });
  const { rows: jobs } = await db.query("select state, attempt from rouse.jobs where id = $1", [value.job]);
  const { rows: errors } = await db.query(
    "select attempt, message from rouse.attempt_error where job_id = $1 order by attempt",
    [value.job],
  );
  const starts = stopwatch.startsOf(value.job);
  expect(errors.length === 2 && starts.length === 3, `${starts.length} attempts and ${errors.length} errors were seen`);
  for (const { attempt, message } of errors) {
    mishap(`attempt ${attempt}: ${message}; tried again after ${ms(starts[attempt]! - starts[attempt - 1]!)}`);
  }
  expect(jobs[0].state === "succeeded", `the job is ${jobs[0].state}`);
  seen(`attempt ${jobs[0].attempt}: ${jobs[0].state}, order ${value.orderId} is paid by ${payment}`);
  const asked = payments.requests.get(String(value.job));
  expect(asked === 3, `the provider was asked ${asked} times`);

  const receipt = await until(async () => mailbox.mails.find(({ subject }) => subject.startsWith("Receipt")));
  expect(receipt.subject === `Receipt for order ${value.orderId}`, `the receipt is "${receipt.subject}"`);
  seen(`the changed row sent "${receipt.subject}" to ${receipt.to}`);
  const changes = await until(async () => (heard.length >= 2 ? heard.map(described) : undefined));
  seen(`heard live of the table orders: ${changes.join(", ")}`);
}

function described(change: unknown): string {
  const { event, old, new: row } = change as RowChange<z.input<typeof orderRow>>;
  return event === "update" ? `update of payment ${old.payment} → ${row.payment}` : event;
}
