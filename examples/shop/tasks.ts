/**
 * The shop's tasks: what you would write in your own project, with `from "rouse"` in place of the relative import.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { createTransport } from "nodemailer";
import { z } from "zod";
import { defineTask, rowChange } from "../../src/index.ts";
import { chunksOf } from "./chunks.ts";
import { orderRow } from "./rows.ts";

/** The smallest task there is. What it returns is kept as the job's result. */
export const hello = defineTask("hello", {
  payload: z.object({ name: z.string() }),
  run: ({ name }) => ({ greeting: `Hello, ${name}!` }),
});

/** Each new row of the table customers starts it, see watches.ts. */
export const sendWelcome = defineTask("send_welcome", {
  payload: z.object({ id: z.number().int(), name: z.string(), email: z.email() }),
  retry: { maxAttempts: 10, backoff: "exponential", base: "5s", cap: "1h" },
  timeout: "30s",
  async run({ id, name, email }) {
    await createTransport(process.env.SMTP_URL).sendMail({
      from: "shop@example.com",
      to: email,
      subject: `Welcome, ${name}!`,
      text: `Dear ${name},\n\nit is good to have you.\n\nYour shop\n`,
      // A worker may die between the sending and the note that it was sent. The same id lets a mail server drop the second copy.
      messageId: `<welcome-${id}@example.com>`,
    });
  },
});

/** Takes the money for an order. The provider has its bad moments, so it is asked again: soon, then less and less soon. */
export const takePayment = defineTask("take_payment", {
  payload: z.object({ orderId: z.number().int(), total: z.string() }),
  retry: { maxAttempts: 6, backoff: "exponential", base: "250ms", jitter: 0.1 },
  timeout: "10s",
  async run({ orderId, total }, ctx) {
    const answer = await fetch(`${process.env.PAYMENTS_URL}/payments`, {
      method: "POST",
      // The job's id is the same in each attempt, so the provider charges once, however often it is asked.
      headers: { "idempotency-key": String(ctx.job.id), "content-type": "application/json" },
      body: JSON.stringify({ orderId, total }),
      signal: ctx.signal,
    });
    if (!answer.ok) throw new Error(`the payment provider answered ${answer.status} ${answer.statusText}`);
    const { payment } = z.object({ payment: z.string() }).parse(await answer.json());
    await ctx.transaction(async (client) => {
      await client.query("update orders set payment = $2 where id = $1", [orderId, payment]);
      return { payment };
    });
  },
});

/** Each order that was paid starts it, see watches.ts. It gets the row before and after. */
export const sendReceipt = defineTask("send_receipt", {
  payload: rowChange(orderRow, ["update"]),
  async run({ new: order }, ctx) {
    await ctx.transaction(async (client) => {
      const { rows } = await client.query("select email from customers where id = $1", [order.customer_id]);
      await createTransport(process.env.SMTP_URL).sendMail({
        from: "shop@example.com",
        to: rows[0].email,
        subject: `Receipt for order ${order.id}`,
        text: `${order.total.toFixed(2)}, paid by ${order.payment}.\n`,
        messageId: `<receipt-${order.id}@example.com>`,
      });
    });
  },
});

/** Splits a CSV file into jobs, all of them or none: they are enqueued by the commit that also completes this one. */
export const importSales = defineTask("import_sales", {
  payload: z.object({ file: z.string(), linesPerChunk: z.number().int().min(1).default(500) }),
  async run({ file, linesPerChunk }, ctx) {
    const chunks = await chunksOf(file, linesPerChunk);
    const jobs = chunks.map((chunk) => ({ task: importChunk.name, payload: { file, ...chunk } }));
    await ctx.transaction(async (client) => {
      await client.query("select from rouse.enqueue_many($1)", [JSON.stringify(jobs)]);
      return { chunks: chunks.length };
    });
  },
});

/** Imports a chunk. Its lines and its completion are one commit, so each line arrives exactly once. */
export const importChunk = defineTask("import_chunk", {
  payload: z.object({ file: z.string(), start: z.number().int(), end: z.number().int() }),
  retry: { backoff: "fixed", base: "200ms" },
  async run({ file, start, end }, ctx) {
    const sales: unknown[] = [];
    for await (const line of createInterface({ input: createReadStream(file, { start, end }) })) {
      const [receipt, sold_at, product, quantity, price] = line.split(",");
      sales.push({ receipt, sold_at, product, quantity, price });
    }
    await ctx.transaction(async (client) => {
      const { rowCount } = await client.query(
        `insert into sales
         select *
         from jsonb_to_recordset($1) as s (
           receipt integer, sold_at timestamptz, product text, quantity integer, price numeric
         )`,
        [JSON.stringify(sales)],
      );
      return { lines: rowCount };
    });
  },
});
