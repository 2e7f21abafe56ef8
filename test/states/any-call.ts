/** Draws calls of the engine, for sequences that nobody would think of. */
import fc from "fast-check";
import {
  beat,
  type Call,
  claim,
  control,
  deregister,
  type EndDraw,
  enqueue,
  exchange,
  finish,
  lock,
  pause,
  promote,
  type Real,
  register,
  sweep,
  unlock,
} from "./calls.ts";
import type { QueueModel } from "./queue-model.ts";

const index = fc.nat({ max: 30 });
const hours = fc.integer({ min: 0, max: 3 });
const queue = fc.constantFrom("a", "b");
const queues = fc.constantFrom<string[] | null>(null, ["a"], ["b"]);
const most = fc.integer({ min: 1, max: 4 });
const endDraw: fc.Arbitrary<EndDraw> = fc.record({
  attempt: fc.oneof(fc.nat({ max: 3 }), index),
  kind: fc.constantFrom("complete", "fail", "release"),
  retry: fc.boolean(),
  hours: fc.integer({ min: -1, max: 3 }),
});

/** Any call, named with its arguments; `after` looks whether model and engine agree. */
export function anyCall(
  after: (model: QueueModel, real: Real) => Promise<void>,
): fc.Arbitrary<fc.AsyncCommand<QueueModel, Real>>[] {
  const named = <Args extends unknown[]>(
    name: string,
    call: (...args: Args) => Call,
    ...args: { [I in keyof Args]: fc.Arbitrary<Args[I]> }
  ) =>
    fc
      .tuple(...args)
      .map((drawn) =>
        command(`${name}(${drawn.map((arg) => JSON.stringify(arg)).join(", ")})`, call(...(drawn as Args))),
      );
  const command = (name: string, call: Call): fc.AsyncCommand<QueueModel, Real> => ({
    check: () => true,
    run: async (model, real) => {
      if ((await call({ model, real })) !== false) await after(model, real);
    },
    toString: () => name,
  });
  const priority = fc.integer({ min: -1, max: 1 });
  const add = named(
    "enqueue",
    enqueue,
    queue,
    priority,
    fc.integer({ min: -1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
    fc.constantFrom(null, null, "x", "y"),
  );
  const take = named("claim", claim, index, queues, most, hours);
  const swap = named(
    "exchange",
    exchange,
    index,
    fc.array(endDraw, { maxLength: 4 }),
    queues,
    fc.nat({ max: 4 }),
    hours,
  );
  const end = named("finish", finish, endDraw);
  return [
    ...[add, add, add, take, take, swap, swap, end, end],
    named("control", control, fc.constantFrom("cancel", "retry", "purge"), index),
    named("pause", pause, queue, fc.boolean()),
    named("promote", promote, hours),
    named("register", () => register),
    named("beat", beat, index),
    named("sweep", sweep, index, fc.boolean()),
    named("deregister", deregister, index),
    named("lock", lock, index),
    named("unlock", () => unlock),
  ];
}
