import { z } from "zod";

/** A row of the table orders, as JSON. */
export const orderRow = z.object({
  id: z.number().int(),
  customer_id: z.number().int(),
  total: z.number(),
  payment: z.string().nullable(),
});
