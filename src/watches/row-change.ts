import { ConfigError } from "../errors.ts";
import type { PayloadSchema } from "../tasks/standard-schema.ts";

/** What may happen to a table. */
export type WatchEvent = "insert" | "update" | "delete" | "truncate";

/** What most watches wait for, and what one that names no events waits for. */
export type RowEvent = "insert" | "update" | "delete";

/** The payload `change` of a watch: the row before and after. */
export type RowChange<Row, Event extends WatchEvent = RowEvent> =
  | (Event extends "insert" ? { event: "insert"; old: null; new: Row } : never)
  | (Event extends "update" ? { event: "update"; old: Row; new: Row } : never)
  | (Event extends "delete" ? { event: "delete"; old: Row; new: null } : never)
  | (Event extends "truncate" ? { event: "truncate" } : never);

const ROW_EVENTS: readonly RowEvent[] = ["insert", "update", "delete"];

/** Which rows an event has. */
const SIDES: Record<WatchEvent, readonly ("old" | "new")[]> = {
  insert: ["new"],
  update: ["old", "new"],
  delete: ["old"],
  truncate: [],
};

/**
 * Schema of the payload `change` of a watch, for the task that gets it: `{ event, old, new }` with typed rows, of which
 * `event` tells which are there.
 *
 * @param row Schema of a row as JSON, as PostgreSQL's to_jsonb gives it: zod, or another that `defineTask` takes.
 * @param events What the watch waits for; default insert, update and delete.
 * @throws ConfigError where the schema does not tell its JSON Schema.
 */
export function rowChange<Input, Output, const Event extends WatchEvent = RowEvent>(
  row: PayloadSchema<Input, Output>,
  events: readonly Event[] = ROW_EVENTS as readonly WatchEvent[] as readonly Event[],
): PayloadSchema<RowChange<Input, Event>, RowChange<Output, Event>> {
  const { jsonSchema } = row["~standard"];
  if (jsonSchema === undefined) {
    throw new ConfigError(
      "the row of rowChange is not a schema that tells its JSON Schema: use zod 4.2 or later, or another Standard Schema library that does",
    );
  }
  return {
    "~standard": {
      version: 1,
      vendor: "rouse",
      jsonSchema: {
        input: (options) => {
          const { $schema, $defs, ...rowSchema } = jsonSchema.input(options);
          const side = (event: WatchEvent, name: "old" | "new") =>
            SIDES[event].includes(name) ? rowSchema : { type: "null" };
          const change = (event: WatchEvent) => ({
            type: "object",
            properties: {
              event: { const: event },
              ...(event === "truncate" ? {} : { old: side(event, "old"), new: side(event, "new") }),
            },
            required: event === "truncate" ? ["event"] : ["event", "old", "new"],
          });
          return { $schema, ...($defs === undefined ? {} : { $defs }), anyOf: events.map(change) };
        },
      },
      async validate(value) {
        const given = (typeof value === "object" ? value : null) as Record<string, unknown> | null;
        const event = events.find((known) => known === given?.event);
        if (event === undefined || given === null) {
          return { issues: [{ path: ["event"], message: `expected one of ${events.join(", ")}` }] };
        }
        const change: Record<string, unknown> = event === "truncate" ? { event } : { event, old: null, new: null };
        const issues = [];
        for (const side of SIDES[event]) {
          const checked = await row["~standard"].validate(given[side]);
          if (checked.issues === undefined) change[side] = checked.value;
          else issues.push(...checked.issues.map(({ message, path = [] }) => ({ message, path: [side, ...path] })));
        }
        return issues.length > 0 ? { issues } : { value: change as RowChange<Output, Event> };
      },
    },
  };
}
