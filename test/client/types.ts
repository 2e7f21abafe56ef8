/** What must not compile, and what must: `npm run typecheck` is the test, nothing here is ever run. */
import pg from "pg";
import { z } from "zod";
import { type AnyTask, defineTask, type InputOf, type JobContext, type ResultOf, type Rouse } from "../../src/index.ts";

declare const rouse: Rouse;
declare const pool: pg.Pool;

const mail = defineTask("mail", {
  payload: z.object({ userId: z.number(), at: z.iso.datetime().transform((text) => new Date(text)) }),
  run({ userId, at }, ctx) {
    const id: number = userId;
    const date: Date = at;
    // @ts-expect-error the output of the schema is a Date
    const text: string = at;
    const context: JobContext = ctx;
    return { id, date, text, attempt: context.job.attempt };
  },
});
const withDefault = defineTask("with_default", {
  payload: z.object({ n: z.number().default(1) }),
  run: ({ n }) => n + 1,
});
const optional = defineTask("optional", {
  payload: z.object({ a: z.string() }).optional(),
  run: (payload) => payload?.a,
});
const bare = defineTask("bare", { run: () => "done" });
const scalar = defineTask("scalar", { payload: z.string(), run: (text) => text.length });

export function enqueueByTask(): void {
  rouse.enqueue(mail, { userId: 1, at: "2026-01-01T00:00:00Z" }, { delay: "5m", client: pool });
  // @ts-expect-error the payload is missing
  rouse.enqueue(mail);
  // @ts-expect-error the payload is missing
  rouse.enqueue(mail, undefined, { delay: "5m" });
  // @ts-expect-error userId is a number
  rouse.enqueue(mail, { userId: "1", at: "2026-01-01T00:00:00Z" });
  // @ts-expect-error the input of the schema is text, the Date comes later
  rouse.enqueue(mail, { userId: 1, at: new Date() });
  // @ts-expect-error there is no such option
  rouse.enqueue(mail, { userId: 1, at: "2026-01-01T00:00:00Z" }, { dely: "5m" });

  rouse.enqueue(withDefault, {});
  rouse.enqueue(optional);
  rouse.enqueue(optional, { a: "b" });
  rouse.enqueue(scalar, "text");
  // @ts-expect-error a string is asked for
  rouse.enqueue(scalar, 1);

  rouse.enqueue(bare);
  rouse.enqueue(bare, {}, { priority: 1 });
  rouse.enqueue(bare, undefined, { priority: 1 });
  // @ts-expect-error the task takes no payload
  rouse.enqueue(bare, { a: 1 });
}

/** As with `import type { mail }` in a web process that has not got the task's code. */
export function enqueueByName(): void {
  rouse.enqueue<typeof mail>("mail", { userId: 1, at: "2026-01-01T00:00:00Z" });
  // @ts-expect-error another task's name
  rouse.enqueue<typeof mail>("male", { userId: 1, at: "2026-01-01T00:00:00Z" });
  // @ts-expect-error userId is missing
  rouse.enqueue<typeof mail>("mail", { at: "2026-01-01T00:00:00Z" });
  // @ts-expect-error the payload is missing
  rouse.enqueue<typeof mail>("mail");
  rouse.enqueue<typeof bare>("bare");
  rouse.enqueue("anything", { of: "any kind" });
  rouse.enqueue("anything");
}

export function enqueueMany(ids: number[]): void {
  rouse.enqueueMany([
    { task: mail, payload: { userId: 1, at: "2026-01-01T00:00:00Z" }, delay: 5 },
    { task: bare },
    { task: "by name", payload: { a: 1 } },
  ]);
  rouse.enqueueMany(ids.map((userId) => ({ task: mail, payload: { userId, at: "2026-01-01T00:00:00Z" } })));
  // @ts-expect-error userId is a number
  rouse.enqueueMany([{ task: mail, payload: { userId: "1", at: "2026-01-01T00:00:00Z" } }]);
  // @ts-expect-error the payload is missing
  rouse.enqueueMany([{ task: bare }, { task: mail }]);
  // @ts-expect-error userId is a number
  rouse.enqueueMany(ids.map((id) => ({ task: mail, payload: { userId: String(id), at: "2026-01-01T00:00:00Z" } })));
  // @ts-expect-error the client is an option of the call
  rouse.enqueueMany([{ task: bare, client: pool }]);
}

export function tasksAndTypes(): void {
  const all: AnyTask[] = [mail, withDefault, optional, bare, scalar];
  const name: "mail" = mail.name;
  const input: InputOf<typeof mail> = { userId: 1, at: "2026-01-01T00:00:00Z" };
  const result: ResultOf<typeof scalar> = 3;
  // @ts-expect-error its result is a number
  const wrong: ResultOf<typeof scalar> = "3";
  void [all, name, input, result, wrong];
  // @ts-expect-error a misspelt option
  defineTask("misspelt", { retrys: 3, run: () => {} });
  // @ts-expect-error a task without run
  defineTask("no_run", {});
}

export function clients(): void {
  const client: pg.Client = new pg.Client();
  rouse.enqueue(bare, {}, { client });
  pool.connect().then((poolClient) => rouse.enqueue(bare, {}, { client: poolClient }));
  // A wrapper of an ORM's transaction.
  rouse.enqueue(bare, {}, { client: { query: async (_text: string, _values?: unknown[]) => ({ rows: [{ id: 1 }] }) } });
  // @ts-expect-error it cannot query
  rouse.enqueue(bare, {}, { client: {} });
}
