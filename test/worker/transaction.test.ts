import assert from "node:assert/strict";
import test from "node:test";
import type pg from "pg";
import { type AnyTask, defineTask, type JobContext } from "../../src/index.ts";
import { testDatabase } from "../support/database.ts";
import { Latch, Tally } from "../support/latch.ts";
import { until } from "../support/until.ts";
import { archived, errorsOf, useRouse } from "./support.ts";

const db = testDatabase();
const rouseWith = useRouse(db);
const once = { backoff: "fixed", base: 0, maxAttempts: 1 } as const;

async function workerWith(task: AnyTask) {
  await db.query(
    `create table if not exists effect (
       job bigint not null, attempt int not null, constraint once unique (job) deferrable initially deferred
     )`,
  );
  const rouse = rouseWith([task]);
  const worker = await rouse.startWorker();
  return { rouse, worker };
}

const finished = (id: number) => until(() => archived(db, id), { message: `job ${id} is finished` });
const effects = (id: number) => db.query<{ attempt: number }>("select attempt from effect where job = $1", [id]);
const write = (client: pg.ClientBase, { job }: JobContext) =>
  client.query("insert into effect values ($1, $2)", [job.id, job.attempt]);

test("ctx.transaction: writes and completion commit together, fn's value is the result", async () => {
  const inside = new Latch();
  const commit = new Latch();
  const task = defineTask("pay", {
    run: (_payload, ctx) =>
      ctx.transaction(async (client) => {
        await write(client, ctx);
        inside.open();
        await commit.opened;
        return { paid: true };
      }),
  });
  const { rouse } = await workerWith(task);
  const { id } = await rouse.enqueue(task);
  await inside.opened;
  assert.deepEqual(await effects(id), []);
  commit.open();
  assert.deepEqual((await finished(id))?.result, { paid: true });
  assert.deepEqual(await effects(id), [{ attempt: 1 }]);
});

test("ctx.transaction: what fn throws rolls back its writes and fails the attempt", async () => {
  const task = defineTask("pay", {
    retry: { backoff: "fixed", base: 0 },
    run: (_payload, ctx) =>
      ctx.transaction(async (client) => {
        await write(client, ctx);
        if (ctx.job.attempt === 1) throw new Error("not yet");
      }),
  });
  const { rouse } = await workerWith(task);
  const { id } = await rouse.enqueue(task);
  assert.equal((await finished(id))?.attempt, 2);
  assert.deepEqual(await effects(id), [{ attempt: 2 }]);
  assert.deepEqual(await errorsOf(db, id), ["not yet"]);
});

test("B8: ctx.transaction of an attempt whose job went to others rolls back", async () => {
  const task = defineTask("pay", {
    run: (_payload, ctx) =>
      ctx.transaction(async (client) => {
        await write(client, ctx);
        await db.query("select rouse.release_v1(id, lease) from rouse.job where id = $1", [ctx.job.id]);
        await db.query("update rouse.job set state = 'blocked' where id = $1", [ctx.job.id]);
      }),
  });
  const { rouse, worker } = await workerWith(task);
  const { id } = await rouse.enqueue(task);
  await rouse.log.line(/no longer this attempt's/);
  await worker.drained();
  assert.deepEqual(await effects(id), []);
  assert.equal(await archived(db, id), undefined);
  await db.query("select rouse.purge($1)", [id]);
});

test("ctx.transaction: a purged job rolls back", async () => {
  const task = defineTask("pay", {
    run: (_payload, ctx) =>
      ctx.transaction(async (client) => {
        await write(client, ctx);
        await db.query("select rouse.purge($1)", [ctx.job.id]);
      }),
  });
  const { rouse } = await workerWith(task);
  const { id } = await rouse.enqueue(task);
  await rouse.log.line(/no longer this attempt's/);
  assert.deepEqual(await effects(id), []);
});

const misuses: {
  title: string;
  says: RegExp;
  leaves: number;
  use: (client: pg.ClientBase, ctx: JobContext) => Promise<unknown>;
}[] = [
  {
    title: "swallows the error of a query",
    says: /its error was caught/,
    leaves: 0,
    use: async (client, ctx) => {
      await write(client, ctx);
      await client.query("select 1 / 0").catch(() => {});
    },
  },
  {
    title: "commits by itself",
    says: /ended the transaction/,
    leaves: 1,
    use: async (client, ctx) => {
      await write(client, ctx);
      await client.query("commit");
    },
  },
  {
    title: "commits and begins again",
    says: /ended the transaction/,
    leaves: 0,
    use: async (client, ctx) => {
      await client.query("commit");
      await client.query("begin");
      await write(client, ctx);
    },
  },
  {
    title: "violates a deferred constraint",
    says: /violates unique constraint "once"/,
    leaves: 0,
    use: async (client, ctx) => {
      await write(client, ctx);
      await write(client, ctx);
    },
  },
  {
    title: "releases the client",
    says: /is released by ctx.transaction/,
    leaves: 0,
    use: async (client, ctx) => {
      await write(client, ctx);
      (client as pg.PoolClient).release();
    },
  },
  {
    title: "calls ctx.transaction within",
    says: /called a second time/,
    leaves: 0,
    use: async (client, ctx) => {
      await write(client, ctx);
      await ctx.transaction(async () => {});
    },
  },
];

for (const { title, says, leaves, use } of misuses) {
  test(`ctx.transaction: a function that ${title} fails the attempt and is told why`, async () => {
    const task = defineTask("pay", {
      retry: once,
      run: (_payload, ctx) => ctx.transaction((client) => use(client, ctx)),
    });
    const { rouse } = await workerWith(task);
    const { id } = await rouse.enqueue(task);
    assert.equal((await finished(id))?.state, "failed");
    assert.match((await errorsOf(db, id))[0]!, says);
    assert.equal((await effects(id)).length, leaves);
  });
}

test("ctx.transaction: what is thrown after its commit is logged and changes nothing", async () => {
  const task = defineTask("pay", {
    run: async (_payload, ctx) => {
      await ctx.transaction((client) => write(client, ctx));
      throw new Error("afterwards");
    },
  });
  const { rouse } = await workerWith(task);
  const { id } = await rouse.enqueue(task);
  const line = await rouse.log.line(/threw after its attempt had ended/);
  assert.equal(line.fields.error, "afterwards");
  assert.equal((await finished(id))?.state, "succeeded");
  assert.deepEqual(await errorsOf(db, id), []);
});

test("ctx.transaction: begun and not awaited, it still decides how the attempt ends", async () => {
  const task = defineTask("pay", {
    run: (_payload, { transaction, job }) => {
      void transaction(async (client) => {
        await client.query("select pg_sleep(0.05)");
        await client.query("insert into effect values ($1, $2)", [job.id, job.attempt]);
        return "from the transaction";
      });
      return "from the handler";
    },
  });
  const { rouse } = await workerWith(task);
  const { id } = await rouse.enqueue(task);
  assert.equal((await finished(id))?.result, "from the transaction");
  assert.equal((await effects(id)).length, 1);
});

test("B10: a timeout ends ctx.transaction: its connection is closed, which frees the slot, and nothing is written", async () => {
  const calls = new Tally<unknown>();
  const task = defineTask("pay", {
    timeout: 200,
    retry: once,
    run: async (_payload, ctx) => {
      await ctx
        .transaction(async (client) => {
          await write(client, ctx);
          await client.query("select pg_sleep(60)");
        })
        .catch((error) => calls.add(error));
      await ctx.transaction(async () => {}).catch((error) => calls.add(error));
    },
  });
  const { rouse, worker } = await workerWith(task);
  const { id } = await rouse.enqueue(task);
  assert.equal((await finished(id))?.state, "failed");
  assert.match((await errorsOf(db, id))[0]!, /timeout of 200 ms/);
  await calls.reach(2);
  await until(() => worker.running === 0, { message: "the slot is free" });
  assert.deepEqual(await effects(id), []);
});

test("ctx.transaction called after the attempt has ended is refused", async () => {
  const refused = new Latch<Error>();
  const task = defineTask("pay", {
    timeout: 100,
    retry: once,
    run: async (_payload, ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
      await ctx.transaction((client) => write(client, ctx)).catch(refused.open);
    },
  });
  const { rouse } = await workerWith(task);
  const { id } = await rouse.enqueue(task);
  assert.match((await refused.opened).message, /has ended already/);
  assert.deepEqual(await effects(id), []);
});
