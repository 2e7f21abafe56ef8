/** What must not compile, and what must: `npm run typecheck` is the test, nothing here is ever run. */
import { z } from "zod";
import { defineTask, defineWatch, rowChange } from "../../src/index.ts";

const order = z.object({
  id: z.number(),
  status: z.string(),
  total: z.number(),
  paid_at: z.iso
    .datetime({ offset: true })
    .transform((text) => new Date(text))
    .nullable(),
});

const byChange = defineTask("by_change", {
  payload: rowChange(order),
  run({ event, old, new: row }) {
    if (event === "update") {
      const totals: number = old.total + row.total;
      const paidAt: Date | null = row.paid_at;
      // @ts-expect-error the output of the schema is a Date
      const text: string | null = row.paid_at;
      return [totals, paidAt, text];
    }
    if (event === "insert") {
      const nothing: null = old;
      return [nothing, row.id];
    }
    const gone: null = row;
    // @ts-expect-error the row has no such column
    return [gone, old.total, old.price];
  },
});
const onInsert = defineTask("on_insert", { payload: rowChange(order, ["insert"]), run: ({ new: row }) => row.id });
const byKey = defineTask("by_key", { payload: z.object({ id: z.number() }), run: ({ id }) => id });
const byRow = defineTask("by_row", { payload: order, run: (row) => row.total });
const byList = defineTask("by_list", { payload: z.array(z.object({ id: z.number() })), run: (rows) => rows.length });
const byChanges = defineTask("by_changes", {
  payload: z.object({ key: z.object({ id: z.number() }), new: z.object({ total: z.number().optional() }).nullable() }),
  run: ({ key }) => key.id,
});
const bare = defineTask("bare", { run: () => "done" });

const relation = "orders";

export const right = [
  defineWatch("change", { relation, row: order, task: byChange }),
  defineWatch("some events", { relation, row: order, task: byChange, events: ["insert", "delete"] }),
  defineWatch("one event", { relation, row: order, task: onInsert, events: ["insert"] }),
  defineWatch("row", { relation, row: order, task: byRow, payload: "row" }),
  defineWatch("row as key", { relation, row: order, task: byKey, payload: "row" }),
  defineWatch("key", { relation, row: order, task: byKey, payload: "key", key: ["id"], columns: ["status"] }),
  defineWatch("batch", { relation, row: order, task: byList, payload: "key", key: ["id"], batch: 100 }),
  defineWatch("changed", { relation, row: order, task: byChanges, payload: "changed", key: ["id"] }),
  defineWatch("several", { relation, row: order, task: [byRow, byKey, bare, "by name"], payload: "row" }),
  defineWatch("nothing asked", { relation, task: bare, events: ["insert", "truncate"] }),
  defineWatch("sql", { relation, row: order, task: byKey, payload: "jsonb_build_object('id', new.id)" }),
  defineWatch("no schema", { relation, task: [byRow, byChange], payload: "row", columns: ["whatever"] }),
  defineWatch("topic", { relation, topic: "orders", payload: "key" }),
  defineWatch("options", {
    ...{ relation, row: order, task: byKey, payload: "key", key: ["id"], events: ["update"] as const },
    ...{ condition: "new.total > 10", queue: "new.region", priority: 5, delay: "5 minutes", coalesceKey: "key" },
    ...{ context: ["app.tenant"], onError: "raise" as const, level: "row" as const, lockWait: "1m" },
  }),
];

// @ts-expect-error it gets deletes, whose new row is null
defineWatch("wrong", { relation, row: order, task: onInsert });
// @ts-expect-error a change is no row
defineWatch("wrong", { relation, row: order, task: byRow });
// @ts-expect-error without a schema of the row it is a change all the same
defineWatch("wrong", { relation, task: byKey });
// @ts-expect-error a job gets a list of them
defineWatch("wrong", { relation, row: order, task: byKey, payload: "key", key: ["id"], batch: 10 });
// @ts-expect-error a job gets one of them
defineWatch("wrong", { relation, row: order, task: byList, payload: "key", key: ["id"] });
// @ts-expect-error nobody says that the key is id
defineWatch("wrong", { relation, row: order, task: byKey, payload: "key" });
// @ts-expect-error the key has no id
defineWatch("wrong", { relation, row: order, task: byKey, payload: "key", key: ["status"] });
// @ts-expect-error after a truncate there is no row
defineWatch("wrong", { relation, row: order, task: byRow, payload: "row", events: ["insert", "truncate"] });
// @ts-expect-error the second task takes something else
defineWatch("wrong", { relation, row: order, task: [byRow, byList], payload: "row" });
// @ts-expect-error the row has no such column
defineWatch("wrong", { relation, row: order, task: byRow, payload: "row", columns: ["statsu"] });
// @ts-expect-error the row has no such column
defineWatch("wrong", { relation, row: order, task: byRow, payload: "row", key: ["di"] });
// @ts-expect-error there is no such event
defineWatch("wrong", { relation, row: order, task: byRow, payload: "row", events: ["upsert"] });
// @ts-expect-error a misspelt option
defineWatch("wrong", { relation, row: order, task: byRow, payload: "row", colums: ["status"] });
// @ts-expect-error it watches nothing
defineWatch("wrong", { task: bare });
