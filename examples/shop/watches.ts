/** What changes of rows lead to, whoever makes them. The worker that starts with them makes the triggers. */
import { z } from "zod";
import { defineWatch } from "../../src/index.ts";
import { orderRow } from "./rows.ts";
import { sendReceipt, sendWelcome } from "./tasks.ts";

/** A new customer is sent a welcome mail. */
export const welcome = defineWatch("welcome", {
  relation: "customers",
  row: z.object({ id: z.number(), name: z.string(), email: z.string() }),
  task: sendWelcome,
  events: ["insert"],
  payload: "row",
});

/** An order that was paid gets its receipt. */
export const paid = defineWatch("order paid", {
  relation: "orders",
  row: orderRow,
  task: sendReceipt,
  events: ["update"],
  columns: ["payment"],
  condition: "new.payment is not null",
});

/** Whatever happens to an order is told to every process that listens. */
export const audit = defineWatch("audit", { relation: "orders", topic: "orders" });
